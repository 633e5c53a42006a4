#!/usr/bin/perl
# Plays the helpers of 25 years, one manner a word: play.pl MANNER. What each does is in the table below.
use strict;
use warnings;
$| = 1;
$SIG{CHLD} = 'IGNORE';
my $manner = shift;
my (@waiting, $count);

sub nap { select undef, undef, undef, shift }
sub said { my $path = shift; open my $file, '<', $path or return ''; local $/; <$file> // '' }
sub note { my ($path, $text) = @_; open my $file, '>>', $path or die; print $file $text; close $file }
sub in_child { my ($number, $answer) = @_; fork and return; nap(0.02 * (1 + $number % 5)); print "$number $answer\n"; exit 0 }

my %file = (    # what is done with a FILE: number, path, line
    echoes    => sub { print $_[2], "checked\n" },
    rewrites  => sub { note($_[1], "X-Rewritten: yes\n"); print "$_[0] OK\n" },
    forks     => sub { in_child($_[0], 'OK') },
    leaves    => sub { in_child($_[0], 'OK'); exit 0 if ++$count == 3 },
    glues     => sub { push @waiting, $_[0]; @waiting < 2 and return; printf "%d OK%d FAILURE\n\n", splice @waiting },
    pieces    => sub { for my $piece ($_[0], ' O', 'K', "\n") { print $piece; nap(0.01) } },
    twice     => sub { print "$_[0] OK\n"; nap(0.01); print "$_[0] FAILURE\n" },
    wraps     => sub { print "* checking $_[1], which takes a while,\n  as can be seen here\n* $_[0] is the number\n* \n$_[0] OK\n" },
    hasty     => sub { print "$_[0] OK\n"; open my $file, '<', $_[1] or exit 2 },
    falters   => sub { ++$count <= 2 and print "$_[0] OK\n" },
    long      => sub { print "$_[0] ADDHEADER \"X-Long: ", 'x' x 9000, "\" OK\n" },
    licence   => sub { print ++$count <= 2 ? "$_[0] OK\n" : "$_[0] REJECTED License limit reached\n" },
    haunted   => sub {
        my $old = said('Queue/old');
        if (!$old) { note('Queue/old', $_[0]); exit 1 }
        print "$old DISCARD\n$_[0] OK\n";
    },
    late      => sub { push @waiting, $_[0]; print "$_[0] OK\n" },
);
my $answer = $file{$manner} || sub { print "$_[0] OK\n" };
my %greeting = (    # other answers to INTF than the version offered
    banner => "Scanner 3.1, licensed to Example Ltd.\n\n* engine of today\n%d INTF 3\n",
    agrees => "%d OK\n",
    refuses => "%d FAILURE\n",
    older  => "%d INTF 2\n",
    newer  => "%d INTF 5\n",
    padded => "%05d intf 3\r\n",
    silent => '',
);
exit 0 if $manner eq 'quits' and print "* no configuration, nothing to do\n";

while (my $line = <STDIN>) {
    my ($number, $verb, $path) = split ' ', $line;
    if    ($verb eq 'INTF') { printf $greeting{$manner} // '%d INTF 4' . "\n", $number }
    elsif ($verb eq 'FILE') { $answer->($number, $path, $line) }
    elsif ($manner eq 'late') { print "$number OK\n"; print "$_ DISCARD\n" for @waiting; last }
    elsif ($manner eq 'talks') { print "* good bye\n"; last }
    elsif ($manner eq 'deaf' or $manner eq 'spins') { next }
    elsif ($verb eq 'QUIT') { print "$number OK\n"; last unless $manner eq 'stays' }
    else { print "$number ERROR unexpected command: $verb\n" }
}
while ($manner eq 'spins') { print "* end of input\n"; nap(0.001) }
nap(1000) while $manner eq 'deaf';

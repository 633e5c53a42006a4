#!/usr/bin/perl
# Answers three messages at a time, the last one first: CRLF, lower case, numbers with zeros, information in between.
use strict;
$| = 1;
my @numbers;
while (my $line = <STDIN>) {
    my ($number, $verb) = split ' ', $line;
    if ($verb eq 'INTF') { print "* hello\r\n$number INTF 2\r\n"; next }
    last if $verb eq 'QUIT';
    push @numbers, sprintf '%05d', $number;
    next if @numbers < 3;
    print join("\r\n* $$\r\n", map { "$_ ok" } reverse @numbers), "\r\n";
    @numbers = ();
}

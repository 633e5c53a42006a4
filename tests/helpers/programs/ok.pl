#!/usr/bin/perl
# Answers OK to everything, fast.
use strict;
$| = 1;
while (my $line = <STDIN>) {
    my ($number, $verb, $argument) = split ' ', $line;
    print $verb eq 'INTF' ? "$number INTF $argument\n" : "$number OK\n";
    last if $verb eq 'QUIT';
}

#!/usr/bin/perl
# Babbles: lines without numbers, wrong numbers, double answers, binary, blank lines; somewhere in it the answer.
use strict;
$| = 1;
while (my $line = <STDIN>) {
    my ($number, $verb) = split ' ', $line;
    if ($verb eq 'INTF') { print "starting up\n$number INTF 3\n"; next }
    last if $verb eq 'QUIT';
    print "\0\xff\xfe\n\n999999 OK\nno number\n", $number, " OK\n", $number, " ERROR \"second thoughts\"\n99", "\n";
}

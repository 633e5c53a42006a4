#!/usr/bin/perl
# Reads a file of messages, each behind a line with its length; answers for each with the number of files that MIME::Parser
# finds in it, and for each file the lengths of name and data in a line, then both. The second argument is 1 to have
# uuencoded files taken out of texts.
use strict;
use warnings;
use MIME::Parser;

my ($source, $uuencode) = @ARGV;
open(my $in, '<:raw', $source) or die;
binmode STDOUT;
$| = 1;
$SIG{ALRM} = sub { die "late\n" };

sub files {
    my ($entity) = @_;
    my @parts = $entity->parts;
    return map { files($_) } @parts if @parts;
    my $body = $entity->bodyhandle or return;
    my $name = $entity->head->recommended_filename;
    my $data = $body->as_string;
    utf8::encode($name) if defined $name && utf8::is_utf8($name);
    utf8::encode($data) if utf8::is_utf8($data);
    return [defined $name ? $name : '', $data];
}

while (my $length = <$in>) {
    read($in, my $message, $length);
    my @files;
    eval {
        alarm 5;
        my $parser = MIME::Parser->new;
        $parser->output_to_core(1);
        $parser->tmp_to_core(1);
        $parser->extract_uuencode($uuencode);
        @files = files($parser->parse_data($message));
        alarm 0;
    };
    alarm 0;
    print scalar(@files), "\n";
    print length($_->[0]), ' ', length($_->[1]), "\n", $_->[0], $_->[1] for @files;
}

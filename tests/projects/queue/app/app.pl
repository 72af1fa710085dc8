# api: puts a job into the queue for each POST. worker: takes them out, and tells how many it has done.
use strict;
use warnings;
use IO::Socket::INET;

my ($role) = @ARGV;
$SIG{TERM} = sub { exit 0 };

# One command of Redis, in its inline form; the answer without its first character.
sub ask {
    my $queue = IO::Socket::INET->new(PeerAddr => 'queue:6379', Timeout => 5) or return '';
    print $queue "$_[0]\r\n";
    my $line = <$queue> // '';
    $line = <$queue> // '' if $line =~ /^[\$*]\d/;
    $line =~ s/^:|\r?\n//g;
    return $line;
}

if ($role eq 'worker' && !fork) {
    while (1) { ask('BRPOP jobs 1') =~ /^\$4/ ? ask('INCR done') : select(undef, undef, undef, 0.1) }
}
my $listener = IO::Socket::INET->new(LocalPort => 8080, Listen => 16, ReuseAddr => 1) or die "listen: $!";
while (my $client = $listener->accept) {
    my $request = <$client> // '';
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    my $text = $role eq 'worker' ? ask('GET done') : $request =~ /^POST/ ? ask('LPUSH jobs job') : ask('PING');
    my $status = $text =~ /^(\+PONG|\d+|\$-1)$/ ? '200 OK' : '503 Service Unavailable';
    print $client "HTTP/1.1 $status\r\nContent-Length: ", length $text, "\r\nConnection: close\r\n\r\n$text";
    close $client;
}

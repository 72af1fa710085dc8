# serve: counts its visits in Postgres and in Redis. migrate: makes the table. check: is there an answer?
use strict;
use warnings;
use IO::Socket::INET;

my ($verb) = @ARGV;
$SIG{TERM} = sub { exit 0 };

sub psql {
    my ($query) = @_;
    open my $out, '-|', 'psql', $ENV{DATABASE_URL}, '--no-psqlrc', '--quiet', '--tuples-only', '--no-align',
        '--set', 'ON_ERROR_STOP=1', '--command', $query or die "psql: $!";
    my $text = join '', <$out>;
    close $out or die "psql failed\n";
    chomp $text;
    return $text;
}

# One command of Redis, in its inline form; its number.
sub redis {
    my $cache = IO::Socket::INET->new(PeerAddr => $ENV{REDIS}, Timeout => 5) or die "$ENV{REDIS}: $@\n";
    print $cache "$_[0]\r\n";
    my $line = <$cache> // '';
    return $line =~ /^:(\d+)/ ? $1 : die "redis said $line";
}

if ($verb eq 'migrate') {
    psql('create table if not exists visits (id serial primary key)');
    exit 0;
}
if ($verb eq 'check') {
    exit(IO::Socket::INET->new(PeerAddr => '127.0.0.1:8080', Timeout => 5) ? 0 : 1);
}
my $listener = IO::Socket::INET->new(LocalPort => 8080, Listen => 16, ReuseAddr => 1) or die "listen: $!";
while (my $client = $listener->accept) {
    my $request = <$client>;
    next unless defined $request; # a look whether there is a listener is no visit
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    my $text = eval {
        psql('insert into visits default values');
        psql('select count(*) from visits') . ' rows, ' . redis('INCR visits') . " in the cache\n";
    };
    my $status = defined $text ? '200 OK' : '503 Service Unavailable';
    $text //= $@;
    print $client "HTTP/1.1 $status\r\nContent-Length: ", length $text, "\r\nConnection: close\r\n\r\n$text";
    close $client;
}

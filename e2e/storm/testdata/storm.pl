# SPDX-License-Identifier: MIT
# storm MODE FAMILY PORT STOP NAME...: see storm.c. MODE: tcp, udp, sendto.
use strict;
use warnings;
use Errno qw(EINTR EAGAIN EINPROGRESS);
use Socket qw(:DEFAULT getaddrinfo SO_RCVTIMEO SO_SNDTIMEO);

my ($mode, $family, $port, $stop, @names) = @ARGV;
my %counts;

sub end_of { return $! == EAGAIN || $! == EINPROGRESS ? 'timeout' : $! + 0 }

sub visit {
	my ($name) = @_;
	my $type = $mode eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM;
	my ($error, $found) = getaddrinfo($name, $port, { family => $family == 4 ? AF_INET : AF_INET6, socktype => $type });
	return 'resolve' if $error;
	socket(my $s, $found->{family}, $found->{socktype}, $found->{protocol}) or return end_of();
	my $patience = $mode eq 'tcp' ? pack('l!l!', 1, 0) : pack('l!l!', 0, 300000);
	setsockopt($s, SOL_SOCKET, $_, $patience) for SO_RCVTIMEO, SO_SNDTIMEO;
	if ($mode eq 'sendto') {
		my $tries = 0;
		my $sent = send($s, 'x', 0, $found->{addr});
		$sent = send($s, 'x', 0, $found->{addr}) while !defined $sent && $! == EINTR && $tries++ < 16;
		return end_of() unless defined $sent;
	} else {
		connect($s, $found->{addr}) or return end_of();
		defined send($s, 'x', 0) or return end_of() if $mode eq 'udp';
	}
	defined recv($s, my $reply, 256, 0) or return end_of();
	return length $reply ? 'ok' : 'closed';
}

for (my $i = 0; !-e $stop; $i++) {
	$counts{ visit($names[$i % @names]) }++;
	select undef, undef, undef, 0.01;
}
print "$counts{$_} $_\n" for keys %counts;

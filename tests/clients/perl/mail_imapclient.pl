#!/usr/bin/perl
# Mail::IMAPClient against a running server. Ends with "all good" or an error.
use strict;
use warnings;
use Mail::IMAPClient;
use IO::Socket::SSL;

my ( $alice, $password ) = ( 'alice@example.test', $ENV{RINGPOST_PASSWORD} );

sub message {
    my ( $subject, $day, $extra ) = @_;
    my @lines = (
        'From: Ann <ann@elsewhere.test>', "To: $alice", "Subject: $subject",
        "Date: 0$day Jan 2026 10:00:00 +0000", "Message-ID: <$day\@elsewhere.test>", @{ $extra || [] },
        '', 'A line.', 'Another one.', ''
    );
    return join "\r\n", @lines;
}

sub deliver {
    my @to = ( '--server', '127.0.0.1', '--port', $ENV{RINGPOST_LMTP}, '--protocol', 'LMTP', '--hide-all' );
    system( 'swaks', @to, '--from', 'ann@elsewhere.test', '--to', $alice, '--data', $_[0] ) == 0 or die 'swaks';
}

sub same {
    my ( $found, $wanted, $what ) = @_;
    $found = join ' ', @$found if ref $found;
    die "$what: '$found' instead of '$wanted'" if $found ne $wanted;
}

sub like { my ( $found, $wanted, $what ) = @_; $found =~ $wanted or die "$what: $found" }

deliver( message( 'plan', 1 ) );
deliver( message( 'Re: plan', 2, ['References: <1@elsewhere.test>'] ) );
deliver( message( 'apple', 3 ) );

my $imap = Mail::IMAPClient->new(
    Server   => 'localhost',
    Port     => $ENV{RINGPOST_IMAP},
    User     => $alice,
    Password => $password,
    Starttls => [ SSL_ca_file => $ENV{RINGPOST_CERTIFICATE} ],
    Uid      => 1,
    Timeout  => 20,
) or die "connect: $@";
sub good { my ( $what, $result ) = @_; defined $result or die "$what: " . $imap->LastError; return $result; }

good( 'compress', $imap->compress );
same( $imap->separator, '/', 'separator' );
my %folders = map { $_ => 1 } $imap->folders;
$folders{$_} or die "no $_" for qw(INBOX Sent Trash Drafts);
good( 'create', $imap->create('Projects/2026') );
good( 'rename', $imap->rename( 'Projects/2026', 'Projects/Done' ) );
good( 'subscribe', $imap->subscribe('Projects/Done') );
die 'subscribed' unless grep { $_ eq 'Projects/Done' } $imap->subscribed;

good( 'select', $imap->select('INBOX') );
same( $imap->message_count, 3, 'messages' );
same( scalar $imap->unseen_count, 3, 'unseen' );
same( [ $imap->search( 'SUBJECT', 'plan' ) ], '1 2', 'search' );
same( [ $imap->search( 'BODY', 'ANOTHER one' ) ], '1 2 3', 'search a body' );
same( $imap->subject(2), 'Re: plan', 'subject' );
same( length $imap->message_string(1), $imap->size(1), 'size' );
same( $imap->get_envelope(3)->subject, 'apple', 'envelope' );
same( $imap->get_bodystructure(3)->bodytype, 'TEXT', 'structure' );
like( $imap->body_string(3), qr{\AA line\.\r\nAnother one\.\r\n}, "body" );
good( 'flags', $imap->store( '1,3', '+FLAGS', '(\\Flagged work)' ) );
same( [ $imap->search('KEYWORD work') ], '1 3', 'keyword' );
good( 'unflag', $imap->unset_flag( 'Flagged', 3 ) );
same( [ $imap->search('FLAGGED') ], '1', 'flagged' );
same( good( 'append', $imap->append_string( 'Drafts', message( 'draft', 4 ), '\\Draft', '29-Feb-2020 12:00:00 +0000' ) ), 1, 'append' );
good( 'copy', $imap->copy( 'Projects/Done', '1,2' ) );
good( 'move', $imap->move( 'Trash', 3 ) );
good( 'delete', $imap->delete_message(2) );
good( 'uid expunge', $imap->uidexpunge('2,3') );
same( [ $imap->messages ], '1', 'left' );
same( $imap->message_count('Projects/Done'), 2, 'status' );

my $tag = good( 'idle', $imap->idle );
deliver( message( 'while idle', 5 ) );
my @told = $imap->idle_data(20);
die "idle: @told" unless grep { /^\* 2 EXISTS/ } @told;
good( 'done', $imap->done($tag) );

good( 'select', $imap->select('Projects/Done') );
same( [ $imap->sort( 'REVERSE DATE', 'UTF-8', 'ALL' ) ], '2 1', 'sort' );
my $threads = good( 'thread', $imap->thread('REFERENCES') );
same( "@{ $threads->[0] }", '1 2', 'thread' );
good( 'setacl', $imap->setacl( 'Trash', 'bob@example.test', 'lrs' ) );
same( good( 'getacl', $imap->getacl('Trash') )->{'bob@example.test'}, 'lrs', 'acl' );
good( 'deleteacl', $imap->deleteacl( 'Trash', 'bob@example.test' ) );
same( good( 'getacl', $imap->getacl('Trash') )->{'bob@example.test'} // '', '', 'acl' );
good( 'quota', $imap->getquotaroot('INBOX') );
good( 'logout', $imap->logout );
print "all good\n";

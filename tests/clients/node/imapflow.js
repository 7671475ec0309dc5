// ImapFlow against a running server: COMPRESS, QRESYNC, IDLE and the daily work. Ends with "all good" or an error.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { once } from 'node:events';

// Installed below target/, not beside this file.
const { ImapFlow } = createRequire(process.env.RINGPOST_NODE_MODULES + '/')('imapflow');
const { RINGPOST_PASSWORD: pass, RINGPOST_IMAPS: imaps, RINGPOST_LMTP: lmtp, RINGPOST_CERTIFICATE: certificate } = process.env;
const alice = 'alice@example.test';
const message = subject =>
    `From: Ann <ann@elsewhere.test>\r\nTo: ${alice}\r\nSubject: ${subject}\r\nMIME-Version: 1.0\r\n` +
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n' +
    `Köln grüßt ${subject}\r\n--b\r\nContent-Type: application/octet-stream; name=a.bin\r\n` +
    'Content-Transfer-Encoding: base64\r\n\r\nAAECAwQF\r\n--b--\r\n';
const deliver = subject =>
    execFileSync('swaks', ['--server', '127.0.0.1', '--port', lmtp, '--protocol', 'LMTP', '--from', 'ann@elsewhere.test',
        '--to', alice, '--data', message(subject), '--hide-all']);
const connect = async options => {
    const client = new ImapFlow({
        host: 'localhost', port: Number(imaps), secure: true, tls: { ca: readFileSync(certificate) },
        auth: { user: alice, pass }, logger: false, qresync: true, ...options
    });
    client.on('error', error => { throw error; });
    await client.connect();
    return client;
};

const run = async options => {
    for (const subject of ['one', 'two', 'three']) deliver(subject);
    const client = await connect(options);
    assert.equal(!!client.streamer.compress, !options.disableCompression, 'COMPRESS');
    assert(client.enabled.has('CONDSTORE'));
    assert.equal(client.enabled.has('IMAP4REV2'), !options.disableIMAP4rev2, 'ENABLE IMAP4rev2');

    const folders = await client.list({ statusQuery: { messages: true, unseen: true } });
    const special = Object.fromEntries(folders.filter(f => f.specialUse).map(f => [f.specialUse, f.path]));
    assert.equal(special['\\Sent'], 'Sent');
    assert.equal(special['\\Trash'], 'Trash');
    assert.equal(folders.find(f => f.path === 'INBOX').status.messages, 3);
    await client.mailboxCreate(['Projekte', 'Köln & mehr']);
    await client.mailboxRename('Projekte/Köln & mehr', 'Projekte/Übung');
    assert((await client.list()).some(f => f.path === 'Projekte/Übung'));

    await client.mailboxOpen('INBOX');
    assert.equal(client.mailbox.exists, 3);
    const query = { uid: true, flags: true, envelope: true, bodyStructure: true, size: true, source: true, internalDate: true, threadId: true };
    const fetched = await client.fetchAll('1:*', query);
    assert.deepEqual(fetched.map(m => m.envelope.subject), ['one', 'two', 'three']);
    for (const item of fetched) {
        assert.equal(item.size, item.source.length);
        assert.deepEqual(item.bodyStructure.childNodes.map(part => part.type), ['text/plain', 'application/octet-stream']);
        assert(item.emailId, 'EMAILID');
        assert(item.threadId, 'THREADID');
    }
    const { content } = await client.download('1', '2');
    const octets = [];
    for await (const chunk of content) octets.push(chunk);
    assert.deepEqual(Buffer.concat(octets), Buffer.from([0, 1, 2, 3, 4, 5]));

    assert.deepEqual(await client.search({ body: 'KÖLN GRÜßT TWO' }, { uid: true }), [fetched[1].uid]);
    assert.deepEqual(await client.search({ seen: false, not: { subject: 'two' } }), [1, 3]);
    await client.messageFlagsAdd('1', ['\\Flagged', '$Work']);
    const { flags } = await client.fetchOne('1', { flags: true });
    assert(flags.has('$Work') && flags.has('\\Flagged'), [...flags].join(' '));
    const appended = await client.append('Drafts', message('draft'), ['\\Draft'], new Date('2020-02-29T12:00:00Z'));
    assert(appended.uid > 0, 'APPENDUID');
    const copied = await client.messageCopy('1:2', 'Projekte/Übung');
    assert.equal(copied.uidMap.size, 2);
    await client.messageMove('3', 'Trash');
    assert.equal(client.mailbox.exists, 2);

    // Another connection sees what this one does, in IDLE.
    const watcher = await connect(options);
    await watcher.mailboxOpen('INBOX');
    const known = { uidValidity: watcher.mailbox.uidValidity, highestModseq: watcher.mailbox.highestModseq };
    const idle = watcher.idle();
    let told = once(watcher, 'exists');
    deliver('while idle');
    assert.equal((await told)[0].count, 3);
    told = once(watcher, 'flags');
    await client.messageFlagsAdd('2', ['\\Answered']);
    assert.equal((await told)[0].seq, 2);
    told = once(watcher, 'expunge');
    await client.messageDelete('1');
    const [gone] = await told;
    assert(watcher.enabled.has('QRESYNC'));
    assert.equal(gone.uid, fetched[0].uid);
    await watcher.noop();
    await idle;
    await watcher.logout();

    // A third comes back with what the second knew: it is told what changed and what vanished.
    const later = await connect(options);
    const vanished = [];
    later.on('expunge', event => vanished.push(event.uid));
    await later.mailboxOpen('INBOX', { changedSince: known.highestModseq, uidValidity: known.uidValidity });
    const changes = await later.fetchAll('1:*', { uid: true, flags: true }, { changedSince: known.highestModseq });
    assert.deepEqual(changes.map(m => m.uid), [fetched[1].uid, fetched[2].uid + 1]);
    assert.deepEqual(vanished, [fetched[0].uid]);
    await later.logout();
    assert.equal((await client.getQuota('INBOX')).path, 'INBOX');
    await client.mailboxDelete('Projekte/Übung');
    for (const name of ['INBOX', 'Trash', 'Drafts']) {
        await client.mailboxOpen(name);
        await client.messageDelete('1:*');
    }
    await client.logout();
};

await run({});
// The same as a plain IMAP4rev1 client, without compression.
await run({ disableIMAP4rev2: true, disableCompression: true });
console.log('all good');
process.exit(0);

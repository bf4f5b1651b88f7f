// Node as the peer of spec/others/interop_spec.lua; what it takes and prints is what peer.py does,
// but for one thing: Node says "end" for a close_notify and for a cut stream alike, so that "end
// closed" means less here.
'use strict';
const fs = require('fs');
const tls = require('tls');

const say = (text) => fs.writeSync(1, text + '\n');
const said = (socket) =>
  say(`connected ${socket.getProtocol()} reused=${socket.isSessionReused()}`);

function isWhole(reply) {
  const head = reply.indexOf('\r\n\r\n');
  return head >= 0 && reply.length - head - 4 >= Number(/Content-Length: (\d+)/.exec(reply)[1]);
}

function client(port, version, ca, request, times, ends, session) {
  const socket = tls.connect({
    host: '127.0.0.1', port, servername: 'localhost', ca: fs.readFileSync(ca),
    minVersion: version, maxVersion: version, session,
  });
  let reply = '';
  let next = session;
  socket.on('session', (fresh) => { next = fresh; });
  socket.on('secureConnect', () => {
    said(socket);
    socket.write(fs.readFileSync(request));
  });
  socket.on('data', (data) => {
    reply += data;
    if (ends === 'client' && isWhole(reply)) socket.end();
  });
  socket.on('end', () => say(reply + '\nend closed'));
  socket.on('close', () => {
    if (times > 1) client(port, version, ca, request, times - 1, ends, next);
  });
}

function server(_kind, certificate, key) {
  const listener = tls.createServer({
    cert: fs.readFileSync(certificate), key: fs.readFileSync(key),
  });
  listener.on('secureConnection', (socket) => {
    said(socket);
    socket.on('data', (data) => {
      if (String(data.subarray(0, 3)) === 'GET') {
        socket.end('HTTP/1.0 200 OK\r\n\r\nhello of Node\n');
      }
      else socket.write(data);
    });
    socket.on('end', () => say('end closed'));
    socket.on('error', (problem) => say(`failed ${problem}`));
  });
  listener.on('tlsClientError', (problem) => say(`failed ${problem}`));
  listener.listen(0, '127.0.0.1', () => say(`listening ${listener.address().port}`));
}

({client, server})[process.argv[2]](...process.argv.slice(3));

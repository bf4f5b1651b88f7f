// on_node.js: the server of bench/server.lua on Node: node on_node.js certificate.pem key.pem
// It prints "port pid", and does what bench/server/plain.c does, with Node's own HTTP and as few
// headers as it can be made to send.
'use strict';
const fs = require('fs');
const https = require('https');

const block = Buffer.alloc(16384, 'b');
const BLOCKS = 64;

function big(response) {
    response.writeHead(200, {
        'Content-Type': 'text/plain', 'Content-Length': block.length * BLOCKS,
    });
    let left = BLOCKS;
    function more() {
        while (left > 0) {
            left--;
            if (!response.write(block) && left > 0) {
                response.once('drain', more);
                return;
            }
        }
        response.end();
    }
    more();
}

const server = https.createServer({
    cert: fs.readFileSync(process.argv[2]), key: fs.readFileSync(process.argv[3]),
    minVersion: 'TLSv1.3',
}, (request, response) => {
    response.sendDate = false;
    if (request.url === '/big') {
        big(response);
        return;
    }
    response.writeHead(200, {'Content-Type': 'text/plain', 'Content-Length': 3});
    response.end('ok\n');
});
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.requestTimeout = 0;
server.listen({port: 0, host: '127.0.0.1', backlog: 1024}, () => {
    console.log(`${server.address().port} ${process.pid}`);
});

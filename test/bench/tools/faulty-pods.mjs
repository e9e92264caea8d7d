// Pods for `npm run bench -- faults`: PORT FIRST-ADDRESS COUNT. Each answers GET with 200 bytes
// after 5 ms until it is told to fail: `GET /set?pod=2&fault=reset` at the address before the first
// one; `GET /taken` there says how many requests each has got since it was asked last. A fault is there for new requests and for those under way: who is refused from now on is cut
// off as by a pod that dies.
import http from 'node:http';

const [port = '', first = '', count = ''] = process.argv.slice(2);
const serviceMs = 5;
const slowMs = 20 * serviceMs;
const body = 'a'.repeat(200);

function addressOf(pod) {
  const cut = first.lastIndexOf('.') + 1;
  return first.slice(0, cut) + (Number(first.slice(cut)) + pod);
}

class Pod {
  fault = 'none';
  taken = 0;
  #address;
  #sockets = new Set();
  #server = http.createServer({ keepAliveTimeout: 600_000 }, (request, response) =>
    this.#answer(request, response),
  );

  constructor(address) {
    this.#address = address;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
    });
  }

  listen() {
    return new Promise((resolve) => {
      this.#server.listen(Number(port), this.#address, 4096, resolve);
    });
  }

  async become(fault) {
    const was = this.fault;
    this.fault = fault;
    if (was === 'refuses' && fault !== 'refuses') await this.listen();
    if (fault === 'refuses' && was !== 'refuses') this.#server.close();
    // Whoever waits for a pod that hangs or dies is cut off when that is over, or begins.
    if (fault === 'refuses' || was === 'hangs') {
      for (const socket of this.#sockets) socket.resetAndDestroy();
    }
  }

  #answer(request, response) {
    this.taken += 1;
    if (this.fault === 'hangs') return;
    if (this.fault === 'resets') {
      request.socket.resetAndDestroy();
      return;
    }
    const isSlow = this.fault === 'is 20 × slower';
    setTimeout(
      () => {
        response.writeHead(this.fault === 'answers 503' ? 503 : 200, { 'content-length': 200 });
        response.end(body);
      },
      isSlow ? slowMs : serviceMs,
    );
  }
}

const pods = Array.from({ length: Number(count) }, (_, index) => new Pod(addressOf(index)));
await Promise.all(pods.map((pod) => pod.listen()));
const control = http.createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://control');
  if (pathname === '/taken') {
    response.end(JSON.stringify(pods.map((pod) => pod.taken)));
    for (const pod of pods) pod.taken = 0;
    return;
  }
  const pod = pods[Number(searchParams.get('pod'))];
  void pod.become(searchParams.get('fault')).then(() => response.end('done'));
});
control.listen(Number(port), addressOf(-1), () => console.log('ready'));

// Knocks at a proxy's tunnel port with a certificate that was handed over, and prints how far it
// came, as one JSON object: whether the TLS handshake ended, and the first line that was said. Run
// from its text, in pods that have no programs, too.
import { connect } from 'node:tls';

type Knock = {
  readonly host: string;
  readonly certificate: string;
  readonly key: string;
};

// The argument is written by the suite.
const { host, certificate, key } = JSON.parse(process.argv.at(-1) ?? '{}') as Knock;
const startedMs = performance.now();
let isSecured = false;
let said = '';

function end(why: string): void {
  const tookMs = Math.round(performance.now() - startedMs);
  process.stdout.write(`${JSON.stringify({ isSecured, said: said.trim(), why, tookMs })}\n`, () =>
    process.exit(0),
  );
}

const socket = connect({
  host,
  port: 15_008,
  cert: certificate,
  key,
  minVersion: 'TLSv1.3',
  ALPNProtocols: ['weft-h1/1'],
  // Who answers is not the question here.
  rejectUnauthorized: false,
  checkServerIdentity: () => undefined,
});
socket.setEncoding('utf8');
socket.on('secureConnect', () => {
  isSecured = true;
});
socket.on('data', (text: string) => {
  said += text;
  if (said.includes('\n')) end('said');
});
socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
socket.on('end', () => end('ended'));
setTimeout(() => end('nothing for 8 s'), 8_000);

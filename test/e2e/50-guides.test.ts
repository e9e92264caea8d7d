// The guides say what to type; here it is typed. Each ```yaml block that begins with `# file: NAME`
// is written to that file, each ```sh block is run, in the order of the page. What belongs to
// another moment is typed by another file, which its mark names (test/support/guides.ts).
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandsOf, guidePages } from '../support/guides.ts';
import { kubectl } from './support/kubectl.ts';
import { blockTimeoutMs, openDesk, writeFilesOf, type Desk } from './support/typed.ts';

let desk: Desk;

/** What whoever types a page must have seen on the way. */
const shown: Readonly<Record<string, RegExp>> = {
  install: /DNS, proxy and pod answer on \d+ nodes/,
  dns: /# weft:begin/,
  troubleshoot: /proxies hold all the certificates[^]*"items":/,
  'certificate-authority': /ok +certificates +\d+ proxies hold all the certificates/,
  uninstall: /CertificateSigningRequests of signer weft\.dev\/workload/,
};

beforeAll(() => {
  desk = openDesk();
});
afterAll(async () => {
  desk.leave();
  // Where the page on adoption ends; the suite goes on with the namespace as it was.
  await kubectl(['annotate', 'namespace', 'shop', 'weft.dev/policy-']);
});

describe.each(guidePages)('docs/guides/%s.md', (page) => {
  const commands = commandsOf(page, '');
  let said = '';

  test.each(commands.map((text) => [text.trim()]))(
    '%s',
    (text) => {
      writeFilesOf(page, desk);
      said += desk.type(text);
    },
    blockTimeoutMs + 10_000,
  );

  test('had something to type, and showed what it is about', () => {
    expect(commands.length).toBeGreaterThan(0);
    expect(said).toMatch(shown[page] ?? /(?:)/);
  });
});

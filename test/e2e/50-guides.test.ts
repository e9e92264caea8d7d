// The guides say what to type; here it is typed. Each ```yaml block that begins with `# file: NAME`
// is written to that file, each ```sh block is run, in the order of the page. What belongs to
// another moment is typed by another file, which its mark names (test/support/guides.ts).
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandsOf, guidePages } from '../support/guides.ts';
import { kubectl } from './support/kubectl.ts';
import { blockTimeoutMs, openDesk, writeFilesOf, type Desk } from './support/typed.ts';

let desk: Desk;

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

  test.each(commands.map((text) => [text.trim()]))(
    '%s',
    (text) => {
      writeFilesOf(page, desk);
      desk.type(text);
    },
    blockTimeoutMs + 10_000,
  );

  test('has something to type', () => {
    expect(commands.length).toBeGreaterThan(0);
  });
});

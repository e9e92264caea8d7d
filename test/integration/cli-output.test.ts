// What a command prints arrives whole, however slowly it is read: `weft install | kubectl apply`
// must not apply half of an installation. With the built program and a real pipe.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

function printed(reader: string) {
  const line = `'${process.execPath}' dist/weft.js install -o json | ${reader}`;
  return spawnSync('bash', ['-o', 'pipefail', '-c', line], { encoding: 'utf8', timeout: 20_000 });
}

test('more than a pipe holds reaches a reader that comes late', () => {
  const { status, stdout } = printed('(sleep 0.7; cat)');
  expect(status).toBe(0);
  expect(stdout.length).toBeGreaterThan(65_536);
  expect(JSON.parse(stdout)).toMatchObject({ kind: 'List' });
});

test('a reader that leaves early ends the command', () => {
  expect(printed('head -c 10').stdout).toHaveLength(10);
});

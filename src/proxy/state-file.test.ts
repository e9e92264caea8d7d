// Keys are kept in memory or not at all, for this user only, and what cannot be read is nothing.
// Real files; only the type of their file system is made up.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { testKeys } from '../../test/support/test-authority.ts';
import type { SpiffeId } from '../identity/index.ts';
import type { LocalFiles } from '../lib/files.ts';
import { nodeFiles } from '../main/node-files.ts';
import { silentLog } from '../telemetry/index.ts';
import { StateFile } from './state-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'weft-state-'));
const path = join(directory, 'identities.json');
const id = 'spiffe://cluster.local/ns/shop/sa/web' as SpiffeId;

afterAll(() => rmSync(directory, { recursive: true }));

/** Real files, on what says that it is a file system of this type. */
function filesOn(type: number): LocalFiles {
  return { ...nodeFiles, fileSystemType: () => Promise.resolve(type) };
}

function stateOf(files: LocalFiles, where: string | undefined = directory): StateFile {
  return new StateFile({ files, log: silentLog, directory: where });
}

const tmpfs = 0x0102_1994;
const ext4 = 0xef53;

describe('the state file', () => {
  test('is written in one step, for this user only, and read again', async () => {
    const { privateKeyPem: keyPem, publicKeySpki } = await testKeys.makeKey();
    writeFileSync(`${path}.next`, 'left behind', { mode: 0o666 });
    await stateOf(filesOn(tmpfs)).save([{ id, certificatePem: 'chain', keyPem }]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [kept] = await stateOf(filesOn(tmpfs)).load();
    expect(kept).toMatchObject({ id, certificatePem: 'chain', keyPem });
    expect(Buffer.compare(kept?.publicKeySpki ?? Buffer.alloc(0), publicKeySpki)).toBe(0);
  });

  test('is neither written nor read where keys would be on a disk', async () => {
    const before = readFileSync(path, 'utf8');
    const state = stateOf(filesOn(ext4));
    await state.save([]);
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(await state.load()).toEqual([]);
    expect(await stateOf(filesOn(tmpfs)).load()).toHaveLength(1);
  });

  test.each([
    ['no JSON', 'not JSON'],
    ['of another boot', '{"bootId":"another","identities":[{"id":"x"}]}'],
    ['a list', '[]'],
    ['null', 'null'],
  ])('that is %s is nothing', async (_, text) => {
    writeFileSync(path, text);
    expect(await stateOf(filesOn(tmpfs)).load()).toEqual([]);
  });

  test('loses an entry without a usable key, and no other', async () => {
    const { privateKeyPem: keyPem } = await testKeys.makeKey();
    const good = { id, certificatePem: 'chain', keyPem };
    await stateOf(filesOn(tmpfs)).save([good, { ...good, keyPem: 'no key' }]);
    expect(await stateOf(filesOn(tmpfs)).load()).toHaveLength(1);
  });

  test('may be missing, or impossible', async () => {
    const nowhere = stateOf(nodeFiles, join(directory, 'none'));
    await nowhere.save([]);
    expect(await nowhere.load()).toEqual([]);
    const none = new StateFile({ files: nodeFiles, log: silentLog, directory: undefined });
    expect(await none.load()).toEqual([]);
  });

  test('holds what was saved last when several saves come at once', async () => {
    const { privateKeyPem: keyPem } = await testKeys.makeKey();
    const state = stateOf(filesOn(tmpfs));
    const entry = { id, keyPem };
    const saves = ['one', 'two', 'three'].map((certificatePem) =>
      state.save([{ ...entry, certificatePem }]),
    );
    await Promise.all(saves);
    expect((await state.load())[0]?.certificatePem).toBe('three');
  });
});

test('a file of /proc is read whole, a longer one than allowed not at all', async () => {
  const text = await nodeFiles.readText('/proc/self/status', 65_536);
  expect(text).toContain('Pid:');
  await expect(nodeFiles.readText('/proc/self/status', 10)).rejects.toThrow('longer than 10');
});

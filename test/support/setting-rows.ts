// The table of settings and how each is seen to be in force: a row says what may be written for a
// setting, what may not, and asks a running mesh whether it holds. The suite runs each row on the
// Service, as the Namespace's default, in every other spelling, with a value that cannot be read,
// and removed again – in each protocol that the setting applies to.
import { afterEach, describe, expect, test } from 'vitest';
import { settingTable } from '../../src/api/index.ts';
import type { Annotations } from './settings-mesh.ts';
import { allProtocols, SettingsWorld } from './settings-world.ts';
import type { Protocol } from './settings-world.ts';

export type SettingRow = {
  readonly setting: keyof typeof settingTable;
  readonly value: string;
  /** What says the same under a key of Maesh, where that is another value. */
  readonly maeshValue?: string;
  readonly bad: string;
  /** What has to stand beside it. */
  readonly beside?: Annotations;
  /** Absent: all of them. */
  readonly protocols?: readonly Protocol[];
  readonly isInForce: (world: SettingsWorld) => Promise<boolean>;
};

/** Every row in every place, in every protocol that it applies to. */
export function describeSettings(rows: readonly SettingRow[]): void {
  for (const row of rows) {
    for (const protocol of row.protocols ?? allProtocols) {
      describe(`${row.setting} in ${protocol}`, () => describeSetting(row, protocol));
    }
  }
}

function describeSetting(row: SettingRow, protocol: Protocol): void {
  const { setting, value, maeshValue = value, bad, beside = {}, isInForce } = row;
  const [first, ...others] = settingTable[setting].spellings.map((spelling) => spelling.key);
  const key = first ?? '';
  let world: SettingsWorld;
  const start = async (): Promise<void> => {
    world = await SettingsWorld.start(protocol);
  };

  afterEach(() => world.end());

  test('holds where it stands on the Service', async () => {
    await start();
    expect(world.settle({ onService: { ...beside, [key]: value } })).toEqual([]);
    expect(await isInForce(world)).toBe(true);
  });

  test('holds where it stands on the Namespace alone', async () => {
    await start();
    expect(world.settle({ onService: beside, onNamespace: { [key]: value } })).toEqual([]);
    expect(await isInForce(world)).toBe(true);
  });

  test.each(others)('holds as %s', async (alias) => {
    const meant = alias.startsWith('weft.dev/') ? value : maeshValue;
    await start();
    expect(world.settle({ onService: { ...beside, [alias]: meant } })).toEqual([]);
    expect(await isInForce(world)).toBe(true);
  });

  test('is absent, and a problem, where its value cannot be read', async () => {
    await start();
    const problems = world.settle({ onService: { ...beside, [key]: bad } });
    // One more where what stands beside it means nothing without it.
    expect(new Set(problems)).toEqual(new Set(['InvalidSetting']));
    expect(await isInForce(world)).toBe(false);
  });

  test('ends when it is removed', async () => {
    await start();
    world.settle({ onService: { ...beside, [key]: value } });
    await world.ask();
    world.settle({ onService: beside });
    expect(await isInForce(world)).toBe(false);
  });
}

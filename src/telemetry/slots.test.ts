// Slots of live numbers: stable while their key lives, at rest before they are
// given again.
import { describe, expect, test } from 'vitest';
import { createSlotMemory, SlotAllocator, slotWidths, SlotView } from './slots.ts';

const capacity = { split: 4, endpoint: 4, service: 4 };

function fixture() {
  const memory = createSlotMemory(capacity);
  const allocator = new SlotAllocator(memory, () => 0.5);
  const view = new SlotView(memory, { index: 1, count: 2 });
  let held: readonly string[] = [];
  const assign = (...keys: string[]) => {
    const pairs = (some: readonly string[]) => some.map((key) => ['endpoint', key] as const);
    view.apply(allocator.change(pairs(keys), pairs(held.filter((key) => !keys.includes(key)))));
    held = keys;
  };
  const ticks = (count: number) => {
    for (let tick = 0; tick < count; tick += 1) allocator.tick();
  };
  const slot = (key: string) => view.offset('endpoint', key) / slotWidths.endpoint;
  return { memory, allocator, view, assign, ticks, slot };
}

describe('SlotAllocator', () => {
  test('a key keeps its slot while it is assigned', () => {
    const { assign, slot } = fixture();
    assign('a', 'b');
    const before = slot('a');
    assign('c', 'a');
    expect(slot('a')).toBe(before);
    expect(new Set([slot('a'), slot('c')]).size).toBe(2);
  });

  test('a freed slot has no new owner until it has rested', () => {
    const { assign, slot, ticks } = fixture();
    assign('a');
    const freed = slot('a');
    assign();
    ticks(59);
    assign('b');
    expect(slot('b')).not.toBe(freed);
    ticks(1);
    assign('b', 'c');
    expect(slot('c')).toBe(freed);
  });

  test('a late count on a freed slot does not reach the next owner', () => {
    const { assign, slot, ticks, view } = fixture();
    assign('a');
    const cell = view.offset('endpoint', 'a');
    Atomics.add(view.cells.endpoint, cell, 1);
    assign();
    ticks(60);
    Atomics.add(view.cells.endpoint, cell, -1);
    Atomics.store(view.cells.endpoint, cell + 9, 7);
    ticks(1);
    assign('b');
    expect(slot('b') * slotWidths.endpoint).toBe(cell);
    expect([...view.cells.endpoint.subarray(cell, cell + 12)]).toEqual(Array(12).fill(0));
  });

  test('a slot in which something is in flight rests on, however long that lasts', () => {
    const { assign, slot, ticks, view } = fixture();
    assign('a');
    const offset = view.offset('endpoint', 'a');
    const freed = slot('a');
    const cell = view.countUp(offset);
    assign();
    ticks(3_600);
    assign('b');
    expect(slot('b')).not.toBe(freed);
    view.countDown(cell);
    ticks(60);
    assign('b', 'c');
    expect(slot('c')).toBe(freed);
    expect(view.inFlight(offset)).toBe(0);
  });

  test('when slots run out one in which something is in flight is nobody else’s', () => {
    const { assign, slot, view } = fixture();
    assign('a', 'b', 'c');
    const [busy, idle] = [slot('a'), slot('b')];
    const cell = view.countUp(view.offset('endpoint', 'a'));
    assign('c');
    assign('c', 'd', 'e');
    expect([slot('d'), slot('e')]).toEqual([idle, 0]);
    view.countDown(cell);
    assign('c', 'd', 'e', 'f');
    expect(slot('f')).toBe(busy);
  });

  test('what a worker that died had in flight keeps no slot', () => {
    const { allocator, assign, slot, ticks, view } = fixture();
    assign('a');
    const freed = slot('a');
    view.countUp(view.offset('endpoint', 'a'));
    assign();
    allocator.forgetWorker(1);
    ticks(60);
    assign('b');
    expect(slot('b')).toBe(freed);
  });

  test('what a dead worker had in flight is forgotten, and nothing else', () => {
    const { allocator, assign, memory, view } = fixture();
    assign('a');
    const offset = view.offset('endpoint', 'a');
    const other = new SlotView(memory, { index: 0, count: 2 });
    other.countUp(offset);
    view.countUp(offset);
    view.countUp(offset);
    expect(view.inFlight(offset)).toBe(3);
    allocator.forgetWorker(1);
    expect(view.inFlight(offset)).toBe(1);
  });

  test('the turns of a split start anywhere, and not again when it stays', () => {
    const { allocator, view } = fixture();
    view.apply(allocator.change([['split', 'a']], []));
    const turn = (): number => view.cells.split[view.offset('split', 'a')] ?? 0;
    expect(turn()).toBe(2 ** 29);
    Atomics.add(view.cells.split, view.offset('split', 'a'), 1);
    view.apply(allocator.change([['split', 'a']], []));
    expect(turn()).toBe(2 ** 29 + 1);
  });

  test('when slots run out a resting one is used before keys have to share', () => {
    const { assign, slot } = fixture();
    assign('a', 'b', 'c');
    const freed = slot('a');
    assign('b', 'c', 'd');
    expect(slot('d')).toBe(freed);
    assign('b', 'c', 'd', 'e');
    expect(slot('e')).toBe(0);
  });

  test('a new worker is told everything that is assigned', () => {
    const { allocator, assign, memory, slot } = fixture();
    assign('a', 'constructor', '__proto__');
    const late = new SlotView(memory, { index: 1, count: 2 });
    late.apply(allocator.all());
    for (const key of ['a', 'constructor', '__proto__']) {
      expect(late.offset('endpoint', key) / slotWidths.endpoint).toBe(slot(key));
    }
  });
});

// Open streams by id and by age, against a Map that is told the same: one that stays among many
// that come and go, so that slots are shared.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { StreamIndex } from './stream-index.ts';
import { Http2Stream } from './stream.ts';
import type { StreamLink } from './stream.ts';

const link: StreamLink<string> = {
  sendHead: () => undefined,
  sendNow: () => 0,
  sendEnd: () => undefined,
  resetByUser: () => undefined,
  grant: () => undefined,
};

function streamOf(id: number): Http2Stream<string> {
  return new Http2Stream(link, 'somebody', { id, sendWindow: 0, receiveWindow: 0, nowMs: 0 });
}

describe('open streams', () => {
  test.each([1, 2, 30, 1_000])('are found as a Map finds them, %i at most', (most) => {
    const random = seededRandom(most);
    const index = new StreamIndex<string>();
    const model = new Map<number, Http2Stream<string>>();
    // The first one stays.
    for (let id = 1; id < 20_000; id += 2) {
      const stream = streamOf(id);
      index.add(stream);
      model.set(id, stream);
      while (model.size > most || (model.size > 1 && random() < 0.3)) {
        const place = most > 1 ? 1 + Math.floor(random() * (model.size - 1)) : 0;
        const gone = [...model.values()][place];
        if (gone === undefined) break;
        model.delete(gone.id);
        index.remove(gone);
        index.remove(gone);
        expect(index.get(gone.id)).toBeUndefined();
      }
      if (id % 1_001 === 0) {
        expect([...index.values()]).toEqual([...model.values()]);
        for (const [known, one] of model) expect(index.get(known)).toBe(one);
      }
      expect(index.size).toBe(model.size);
      expect(index.oldest?.id).toBe([...model.keys()][0]);
    }
  });
});

// A request head as routing sees it, without bytes: say what the test is about, the rest is a plain
// GET of the root of `web.shop.mesh`.
import type { RequestHead } from '../../src/route/index.ts';

export type HeadFields = Readonly<Record<string, string | readonly string[]>>;

export function requestHead(
  said: Partial<Omit<RequestHead, 'fieldValues'>> & { readonly fields?: HeadFields } = {},
): RequestHead {
  const fields = new Map(Object.entries(said.fields ?? {}));
  return {
    servicePort: said.servicePort ?? 80,
    hostname: said.hostname ?? 'web.shop.mesh',
    method: said.method ?? 'GET',
    path: said.path ?? '/',
    fieldValues: (name) => {
      const values = fields.get(name) ?? [];
      return typeof values === 'string' ? [values] : values;
    },
  };
}

// What `weft check` makes of namespaces that enforce; the states themselves are judged by the
// golden cases of network-policies.
import { describe, expect, test } from 'vitest';
import type { Enforcement } from '../policy/enforcement.ts';
import { enforcementFindings } from './enforcement-findings.ts';

const gap = { pod: 'shop/api-1', service: 'api', kind: 'unselected' } as const;
const advisory: Enforcement = {
  namespace: 'shop',
  state: 'advisory',
  gaps: [gap, { ...gap, pod: 'shop/api-2' }],
};

describe('enforcementFindings', () => {
  test('a namespace that is advisory is a warning that names the gap and the command', () => {
    const [finding] = enforcementFindings([advisory]);
    expect(finding?.state).toBe('warning');
    expect(finding?.message).toBe(
      'namespace shop is advisory: shop/api-1 (Service api) is open to everybody: ' +
        'no NetworkPolicy selects it and 1 more',
    );
    expect(finding?.fix).toContain('weft policy networkpolicies -n shop');
  });

  test('one that is enforced is well, and so is a mesh where none enforces', () => {
    const enforced: Enforcement = { namespace: 'vault', state: 'enforced', gaps: [] };
    expect(enforcementFindings([enforced]).map(({ state }) => state)).toEqual(['ok']);
    expect(enforcementFindings([]).map(({ state }) => state)).toEqual(['ok']);
  });
});

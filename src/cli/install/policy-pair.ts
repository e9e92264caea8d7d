// A ValidatingAdmissionPolicy and the binding that puts it in force, as they always stand together:
// what the policy refuses is denied, everywhere that it matches.
import type { InstallFacts } from './facts.ts';
import type { JsonMap } from './json.ts';
import { manifest, type Manifest } from './manifest.ts';

const apiVersion = 'admissionregistration.k8s.io/v1';

export type PolicyPair = { readonly policy: Manifest; readonly binding: Manifest };

/** Both are called `name`. */
export function policyPair({ origin }: InstallFacts, name: string, spec: JsonMap): PolicyPair {
  const kind = 'ValidatingAdmissionPolicy';
  const inForce = { policyName: name, validationActions: ['Deny'] };
  return {
    policy: manifest(origin, 'admission', { apiVersion, kind, name }, { spec }),
    binding: manifest(
      origin,
      'admission',
      { apiVersion, kind: `${kind}Binding`, name },
      { spec: inForce },
    ),
  };
}

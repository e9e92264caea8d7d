// What each reason of a denied certificate request means: one typed table, so that none can be
// given without being explained. The last part of docs/reference/reasons.md is rendered from it.
// Pure.
import type { DenialReason } from '../../identity/control.ts';

/** In the order of the checks, which is that of the page. */
const denialReasons: { readonly [R in DenialReason]: string } = {
  RequesterNotProxy: 'Who asks is not ServiceAccount `weft-proxy` of the mesh namespace.',
  RequesterUnbound:
    'The token is bound to no single pod (and node): a legacy or hand-made one. Proxies use the ' +
    'projected token of their pod.',
  UsagesRefused: 'Usages are not exactly digital signature, client auth, server auth.',
  DurationRefused: '`expirationSeconds` is neither absent nor 600 to 86400.',
  RequestTooLarge: 'The request is longer than 8 KiB.',
  RequestMalformed: 'The request is not one PEM block of a strict PKCS#10 request.',
  RequestSignatureInvalid: 'The request is not signed by the key that it names.',
  RequestKeyRefused: 'The key is not on P-256.',
  RequestSubjectNotEmpty: 'The request has a subject; names stand in URI and DNS alone.',
  RequestExtensionRefused: 'The request asks for an extension; the issuer decides them all.',
  RequestNameRefused: 'The request asks for a name that is no URI and no DNS name.',
  SpiffeIdCount: 'The request has no URI, or several.',
  SpiffeIdRefused: 'The URI is not exactly `spiffe://<trust domain>/ns/<namespace>/sa/<account>`.',
  TrustDomainForeign: 'The URI is of another trust domain than the mesh.',
  NodeNameCount: 'The request has no DNS name, or several.',
  NodeNameRefused: 'The DNS name is not `<node>.node.weft.dev`.',
  KeyReused: 'The key was certified for another identity: each identity has its own.',
  RequesterPodUnknown: 'The pod of the token is no more.',
  RequesterPodMismatch: 'The pod of the token has another account or node, or has ended.',
  NodeMismatch: 'The DNS name is of another node than the requester’s.',
  PodMissing: 'No pod of this service account is on the node.',
  PodHostNetwork: 'The pods of this service account there use the node’s network.',
  PodNotRunning: 'The pods of this service account there have ended.',
  PodWithoutAddress: 'The pod has no address yet; the proxy asks again when it has.',
};

/** The last part of docs/reference/reasons.md. */
export function renderDenialReasons(): string {
  const rows = Object.entries(denialReasons).map(
    ([reason, meaning]) => `| \`${reason}\` | ${meaning} |`,
  );
  return `## Denied certificate requests

Reason of condition \`Denied\` of a CertificateSigningRequest of signer \`weft.dev/workload\` – of
\`Failed\` where somebody else had approved it – and label of \`weft_certificate_denials_total\`.
A good request has \`Approved\` with reason \`PodOnNode\`. This table is generated
(\`npm run docs\`).

| reason | meaning |
|---|---|
${rows.join('\n')}
`;
}

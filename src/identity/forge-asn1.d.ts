// node-forge has no exports map, and its types describe only the whole package. We load the ASN.1
// file alone: the rest (RSA, PKCS#12, its own TLS) has no place in the bundle.
declare module 'node-forge/lib/asn1.js' {
  import { asn1 } from 'node-forge';
  export default asn1;
}

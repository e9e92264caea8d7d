// The one switch of mutual TLS between nodes. While it is false nothing of it is in force: `--mtls`
// and the annotation are taken, checked and told to be without effect, every namespace that says
// nothing is at `off`, and proxies keep no certificates. Whoever integrates the tunnels sets it to
// true; nothing else has to change here.

export const isMtlsBuilt: boolean = false;

export { tcpProxy } from '../../../test/support/tcp-proxy.mjs';
export type { TcpProxy } from '../../../test/support/tcp-proxy.mjs';

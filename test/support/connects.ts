import { once } from 'node:events';
import { connect } from 'node:net';

/** Of this machine, as all of 127.0.0.0/8 is: only a server that listens on every address is reached by it. */
export const anotherAddress = '127.0.0.2';

/** Whether somebody listens there. */
export async function connects(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

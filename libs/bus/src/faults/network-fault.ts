import { lasting, passing, type AddressName, type Fault } from './fault.js';

const silent = (why: string) => (address: AddressName) =>
  passing(`Nothing answers at the address in ${address} (${why}).`);

const byCode: Readonly<Record<string, (address: AddressName) => Fault>> = {
  ECONNREFUSED: silent('the connection is refused'),
  EHOSTUNREACH: silent('no route leads there'),
  ENETUNREACH: silent('no route leads there'),
  ETIMEDOUT: silent('no answer in time'),
  EAI_AGAIN: silent('the name server does not answer'),
  ENOTFOUND: (address) => passing(`The host name in ${address} is not known to the name server.`),
  ECONNRESET: (address) => passing(`The connection to ${address} was cut.`),
  EPIPE: (address) => passing(`The connection to ${address} was cut.`),
};

/** What pg says without a code. */
const byText: readonly [RegExp, (address: AddressName) => Fault][] = [
  [
    /connect ETIMEDOUT|connection timeout|timeout exceeded when trying to connect/,
    silent('no answer in time'),
  ],
  [/Query read timeout/, (address) => passing(`The server at ${address} has stopped answering.`)],
  [
    /Connection terminated|Unexpected close|Socket closed/i,
    (address) => passing(`The connection to ${address} was cut.`),
  ],
  [
    /client password must be a string/,
    (address) => lasting(`A password is asked for, and ${address} has none.`),
  ],
];

/** Of what lies between this process and the server. @returns undefined where it is not the network's */
export function networkFault(error: Error, address: AddressName): Fault | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = byCode[code];
  if (known) return known(address);
  if (/^ERR_(SSL|TLS)|CERT|UNABLE_TO_VERIFY/.test(code)) {
    return lasting(
      `TLS with the server at ${address} fails (${code}): check its certificate, and whether it speaks TLS.`,
    );
  }
  return byText.find(([words]) => words.test(error.message))?.[1](address);
}

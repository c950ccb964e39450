import { permanent, transient, type AddressName, type ConnectionErrorExplanation } from './explanation.js';

const silent = (why: string) => (address: AddressName) =>
  transient(`Nothing answers at the address in ${address} (${why}).`);

const byCode: Readonly<Record<string, (address: AddressName) => ConnectionErrorExplanation>> = {
  ECONNREFUSED: silent('the connection is refused'),
  EHOSTUNREACH: silent('no route leads there'),
  ENETUNREACH: silent('no route leads there'),
  ETIMEDOUT: silent('no answer in time'),
  EAI_AGAIN: silent('the name server does not answer'),
  ENOTFOUND: (address) => transient(`The host name in ${address} is not known to the name server.`),
  ECONNRESET: (address) => transient(`The connection to ${address} was cut.`),
  EPIPE: (address) => transient(`The connection to ${address} was cut.`),
};

/** pg errors without a code. */
const byText: readonly [RegExp, (address: AddressName) => ConnectionErrorExplanation][] = [
  [
    /connect ETIMEDOUT|connection timeout|timeout exceeded when trying to connect/,
    silent('no answer in time'),
  ],
  [/Query read timeout/, (address) => transient(`The server at ${address} has stopped answering.`)],
  [
    /Connection terminated|Unexpected close|Socket closed/i,
    (address) => transient(`The connection to ${address} was cut.`),
  ],
  [
    /client password must be a string/,
    (address) => permanent(`A password is asked for, and ${address} has none.`),
  ],
];

/** Errors of the network path to the server. @returns undefined when it is not a network error */
export function explainNetworkError(
  error: Error,
  address: AddressName,
): ConnectionErrorExplanation | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = byCode[code];
  if (known) return known(address);
  if (/^ERR_(SSL|TLS)|CERT|UNABLE_TO_VERIFY/.test(code)) {
    return permanent(
      `TLS with the server at ${address} fails (${code}): check its certificate, and whether it speaks TLS.`,
    );
  }
  return byText.find(([words]) => words.test(error.message))?.[1](address);
}

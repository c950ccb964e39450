/** The command cannot do what it was told; the message is one sentence for the person who typed it. */
export class Rejection extends Error {
  /** @override */
  name = 'Rejection';

  /** @param {string} message */
  constructor(message) {
    super(message);
    // The command line of schematics prints it.
    this.stack = message;
  }
}

/** What is wrong with the connections of one bus right now, as shown to an operator. */
export class BusHealth {
  private readonly reasons = new Map<string, string>();

  /** @param sentence undefined when the connection is healthy */
  set(connection: string, reason: string | undefined): void {
    if (reason === undefined) this.reasons.delete(connection);
    else this.reasons.set(connection, reason);
  }

  /** One line, each problem once; undefined when there is none. Contains no secrets. */
  get reason(): string | undefined {
    const unique = new Set(this.reasons.values());
    return unique.size === 0 ? undefined : [...unique].join(' ');
  }
}

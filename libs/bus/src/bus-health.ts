/** What is wrong with the connections of one bus at this moment, for whoever shows it to an operator. */
export class BusHealth {
  private readonly reasons = new Map<string, string>();

  /** @param sentence undefined when all is well with it */
  set(connection: string, sentence: string | undefined): void {
    if (sentence === undefined) this.reasons.delete(connection);
    else this.reasons.set(connection, sentence);
  }

  /** One line, each trouble once; undefined when there is none. Without secrets. */
  get reason(): string | undefined {
    const sentences = new Set(this.reasons.values());
    return sentences.size === 0 ? undefined : [...sentences].join(' ');
  }
}

type Close = () => Promise<void> | void;

/** What was opened, in order. Whoever opens something says here how it is closed. */
export class ResourceStack {
  private readonly opened: Close[] = [];
  private closing: Promise<void> | undefined;

  get isClosing(): boolean {
    return this.closing !== undefined;
  }

  add(close: Close): void {
    this.opened.push(close);
  }

  /** Closes the last first; a part that cannot be closed does not keep the others open. */
  close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  private async closeAll(): Promise<void> {
    const failures: unknown[] = [];
    // A start that is under way may open one more meanwhile.
    for (let close = this.opened.pop(); close; close = this.opened.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures);
  }
}

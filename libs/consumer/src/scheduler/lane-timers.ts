/** Cool-down timers of lanes: one for each lane, whatever waits in it. */
export class LaneTimers {
  private readonly ends = new Map<string, () => void>();

  /**
   * @param remainingMs called at once and whenever the returned time has passed: 0 when the cool-down is over
   * @param onEnd called once, also when `end` comes first
   */
  start(memberId: string, remainingMs: () => number, onEnd: () => void): void {
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => {
      clearTimeout(timer);
      this.ends.delete(memberId);
      onEnd();
    };
    const check = (): void => {
      const ms = remainingMs();
      if (ms > 0) timer = setTimeout(check, ms);
      else end();
    };
    this.ends.set(memberId, end);
    check();
  }

  end(memberId: string): void {
    this.ends.get(memberId)?.();
  }

  endAll(): void {
    for (const end of this.ends.values()) end();
  }
}

/** What the control interface answers when it cannot do what was asked. */
export class ControlError extends Error {
  override readonly name = 'ControlError';

  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

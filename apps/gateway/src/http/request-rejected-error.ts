/** Why the gateway did not answer 200; `status` is bound in the README, `reason` is what the caller and the metric see. */
export class RequestRejectedError extends Error {
  override readonly name = 'RequestRejectedError';
  constructor(
    readonly status: 400 | 401 | 413 | 415 | 503,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}

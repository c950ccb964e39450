/** Why the gateway did not answer 200; the README defines `status`, and the caller and the metric see `reason`. */
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

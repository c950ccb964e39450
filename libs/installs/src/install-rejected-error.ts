/** Why a claim changes nothing. `reason` is a code for the caller, the page and the metric. */
export class InstallRejectedError extends Error {
  override readonly name = 'InstallRejectedError';
  constructor(
    /** 401: not confirmed, or not an administrator's; 503: it cannot be checked now. */
    readonly status: 401 | 503,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}

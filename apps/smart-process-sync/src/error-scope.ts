import { Bitrix24Error } from '@relay/bitrix24';

/** The portal accepts no calls for now, or none of ours: the error does not concern the type or the item. */
export function isPortalError(error: unknown): boolean {
  return (
    error instanceof Bitrix24Error &&
    (error.recovery === 'wait' || error.recovery === 'reauthorize' || error.errorClass === 'expired')
  );
}

/**
 * Call at the end of work that continued after such errors: all of it is retried.
 * @throws the first transient error
 */
export function throwIfTransient(errors: readonly unknown[]): void {
  const passing = errors.find(isTransient);
  if (passing !== undefined) throw passing;
}

/** A retry may have another result. A complete response with an undocumented format is not transient. */
function isTransient(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.recovery === 'retry' && error.detail !== 'wrong-shape';
}

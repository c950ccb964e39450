import { Bitrix24Error } from '@relay/bitrix24';

/** The portal takes no calls for now, or none of ours: this says nothing about the type or the item that was asked for. */
export function isPortalError(error: unknown): boolean {
  return (
    error instanceof Bitrix24Error &&
    (error.recovery === 'wait' || error.recovery === 'reauthorize' || error.errorClass === 'expired')
  );
}

/**
 * For the end of work that such errors did not keep from going on with the rest: all of it is tried again.
 * @throws the first of the errors that may pass
 */
export function throwIfTransient(errors: readonly unknown[]): void {
  const passing = errors.find(isTransient);
  if (passing !== undefined) throw passing;
}

/** The same question may have another answer in a while. What came whole and is not as documented comes again. */
function isTransient(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.recovery === 'retry' && error.detail !== 'wrong-shape';
}

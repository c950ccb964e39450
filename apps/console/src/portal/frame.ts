/** The frame that Bitrix24 shows this page in, by its official library. */
import { type B24Frame, initializeB24Frame } from '@bitrix24/b24jssdk';

/** The portal's page answers at once; a page that is opened without it never does. */
const TIMEOUT_MS = 10_000;

export interface Frame {
  /** @returns the user's access token, a new one after `isRejected` or once it has expired. @throws if the portal gives none */
  credentials(isRejected?: boolean): Promise<{ accessToken: string; memberId: string }>;
  /** Tells Bitrix24 that the installation is finished; it then loads the application's own page. */
  finishInstall(): void;
  /** Gives the frame the height of what it shows. */
  fit(): void;
}

/** @throws if there is no portal around this page, or it does not answer */
export async function openFrame(): Promise<Frame> {
  const b24 = await withTimeout(initializeB24Frame());
  return {
    async credentials(isRejected = false) {
      if (isRejected || b24.auth.getAuthData() === false) await b24.auth.refreshAuth();
      const given = b24.auth.getAuthData();
      if (given === false) throw new Error('the portal gives no token');
      return { accessToken: given.access_token, memberId: given.member_id };
    },
    finishInstall: () => finishInstall(b24),
    fit: () => void b24.parent.fitWindow().catch(() => undefined),
  };
}

/** It was finished before, when somebody opens the first page again. The answer may never come: the frame is loaded anew. */
function finishInstall(b24: B24Frame): void {
  if (b24.isInstallMode) b24.installFinish().catch(() => undefined);
}

async function withTimeout<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the portal does not answer')), TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

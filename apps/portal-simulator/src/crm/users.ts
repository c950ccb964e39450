/**
 * Who changes something: a user, directly or through an application or webhook that calls REST for that user; or a
 * robot, workflow or agent, whose events carry no tokens.
 */
export type Actor =
  | {
      userId: number;
      through?: 'application' | 'webhook';
      /** The `auth_connector` of the application's call. */ connector?: string;
    }
  | 'robot';

/** The user who created the portal, an administrator. */
export const OWNER_ID = 1;

export interface PortalUser {
  id: number;
  name: string;
  lastName: string;
  position: string;
}

const NAMES =
  'Olena Koval,John Smith,Marie Dupont,Andrea Rossi,Lucía García,Anna Kowalska,Max Weber,Sofia Lund,Ivan Horvat,' +
  'Nora Nagy,Ahmet Yılmaz,Eva Novák,Pedro Silva,Mia Jansen,Leo Korhonen,Ada Byrne,Petra Vidmar,Tom Baker,Ina Berg,Rui Costa';

/** The employees of every portal; generated items are assigned to them. */
export const PORTAL_USERS: readonly PortalUser[] = NAMES.split(',').map((fullName, index) => {
  const [name = '', lastName = ''] = fullName.split(' ');
  return { id: OWNER_ID + index, name, lastName, position: index === 0 ? 'Director' : 'Sales manager' };
});

export function userOf(actor: Actor): number {
  return actor === 'robot' ? 0 : actor.userId;
}

type Hidden = 'all' | ReadonlySet<number>;

/** Which items users may not see, and who administers the CRM. By default every user sees every item. */
export class Rights {
  private readonly hidden = new Map<number, Map<number, Hidden>>();
  private readonly administrators = new Map<number, boolean>();

  /** Replaces what was hidden of this object type before. */
  hide(userId: number, entityTypeId: number, items: Hidden): void {
    const ofUser = this.hidden.get(userId) ?? new Map<number, Hidden>();
    ofUser.set(entityTypeId, items);
    this.hidden.set(userId, ofUser);
  }

  setAdministrator(userId: number, is: boolean): void {
    this.administrators.set(userId, is);
  }

  isAdministrator(userId: number): boolean {
    return this.administrators.get(userId) ?? userId === OWNER_ID;
  }

  /** Undefined if nothing is hidden, so that no item needs a check. */
  hiddenFrom(userId: number, entityTypeId: number): ((id: number) => boolean) | undefined {
    const items = this.hidden.get(userId)?.get(entityTypeId);
    if (items === undefined || (items !== 'all' && items.size === 0)) return undefined;
    return (id) => items === 'all' || items.has(id);
  }

  isTypeHidden(userId: number, entityTypeId: number): boolean {
    return this.hidden.get(userId)?.get(entityTypeId) === 'all';
  }
}

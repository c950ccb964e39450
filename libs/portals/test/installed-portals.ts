import type { DataSource } from 'typeorm';

/** Member ids of the portals with a working application, without webhook pairs. */
export async function installedPortals(source: DataSource): Promise<string[]> {
  const rows = await source.query<{ memberId: string }[]>(
    `SELECT member_id AS "memberId" FROM portals.portals JOIN portals.credentials USING (member_id)
     WHERE state = 'installed' AND kind = 'oauth' ORDER BY member_id`,
  );
  return rows.map(({ memberId }) => memberId);
}

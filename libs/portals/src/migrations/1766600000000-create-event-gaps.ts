import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Times in which a portal made no events, or whose events did not arrive. */
export class CreateEventGaps1766600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.event_gaps (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        reason text NOT NULL,
        began_at timestamptz NOT NULL,
        ended_at timestamptz
      );
      CREATE UNIQUE INDEX event_gaps_open ON portals.event_gaps (member_id) WHERE ended_at IS NULL;
      CREATE INDEX event_gaps_member_id ON portals.event_gaps (member_id, ended_at);
      COMMENT ON TABLE portals.event_gaps IS 'times whose events no consumer got, and no queue has: each consumer compares afterwards';
      COMMENT ON COLUMN portals.event_gaps.ended_at IS 'null: it lasts; in the future: what may be missed until then is not known yet';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.event_gaps');
  }
}

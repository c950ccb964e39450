import type { MigrationInterface, QueryRunner } from 'typeorm';

/** By a trigger, since many statements heal a portal, those of an older process included. */
export class WakePortals1766100000900 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.portals ADD COLUMN resuming_since timestamptz, ADD COLUMN wake_at timestamptz;
      COMMENT ON COLUMN portals.portals.resuming_since IS
        'an operator has resumed it, and it has not answered since; means something in the state installed alone';
      COMMENT ON COLUMN portals.portals.wake_at IS
        'from when on what waits for it is to be made due; while a process does it, the end of its lease';
      CREATE INDEX portals_to_wake ON portals.portals (wake_at) WHERE wake_at IS NOT NULL;

      CREATE FUNCTION portals.wake_portal() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          -- A second later: what a process was told before is by then where it waits.
          NEW.wake_at := clock_timestamp() + interval '1 second';
          RETURN NEW;
        END $$;
      CREATE TRIGGER wake_portal BEFORE UPDATE OF state ON portals.portals FOR EACH ROW
        WHEN (NEW.state = 'installed' AND OLD.state <> 'installed') EXECUTE FUNCTION portals.wake_portal();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TRIGGER wake_portal ON portals.portals;
      DROP FUNCTION portals.wake_portal();
      ALTER TABLE portals.portals DROP COLUMN resuming_since, DROP COLUMN wake_at;
    `);
  }
}

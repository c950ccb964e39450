import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A portal delivers events online, by its offline queue, or both; nothing changes for those that there are. */
export class ChooseDelivery1766400100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.portals ADD COLUMN delivery_mode text NOT NULL DEFAULT 'online'
        CONSTRAINT portals_delivery_mode_check CHECK (delivery_mode IN ('online', 'offline', 'both'));

      CREATE TABLE portals.offline_bindings (
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        name text NOT NULL,
        state text NOT NULL CHECK (state IN ('bound', 'unknown-event')),
        bound_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (member_id, name)
      );
      COMMENT ON TABLE portals.offline_bindings IS 'outcome of event.bind with event_type=offline';

      CREATE TABLE portals.offline_access (
        member_id text PRIMARY KEY REFERENCES portals.portals ON DELETE CASCADE,
        is_administrator boolean NOT NULL,
        can_reserve boolean NOT NULL,
        checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      COMMENT ON COLUMN portals.offline_access.is_administrator IS 'of the stored token pair: the offline queue needs an administrator';
      COMMENT ON COLUMN portals.offline_access.can_reserve IS 'the plan has rest_offline_extended';

      ALTER TABLE portals.binding_attempts
        DROP CONSTRAINT binding_attempts_work_check,
        ADD CONSTRAINT binding_attempts_work_check CHECK (work IN ('bind', 'unbind', 'offline'));
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DELETE FROM portals.binding_attempts WHERE work = 'offline';
      ALTER TABLE portals.binding_attempts
        DROP CONSTRAINT binding_attempts_work_check,
        ADD CONSTRAINT binding_attempts_work_check CHECK (work IN ('bind', 'unbind'));
      DROP TABLE portals.offline_access, portals.offline_bindings;
      ALTER TABLE portals.portals DROP COLUMN delivery_mode;
    `);
  }
}

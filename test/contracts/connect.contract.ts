import { randomBytes } from 'node:crypto'
import { drizzle } from 'drizzle-orm/mysql2'
import {
  InvalidArgumentError,
  MySQLAdapter,
  type MySQLAdapterOptions,
  MySQLCacheAdapter,
  MySQLIdempotencyAdapter,
  NotConnectedError,
  SchemaError,
} from 'goscope-mysql'
import { createPool as createCallbackPool, createConnection } from 'mysql2'
import { createPool, type Pool } from 'mysql2/promise'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer, type ServerContext } from '../support/every-server.js'
import { createLegacyTables, legacyPrefix } from '../support/legacy-tables.js'
import { countStatements } from '../support/statements.js'
import type { ConnectMessage } from './connect.child.js'

const tableNames = ['go_goscope_cache', 'go_goscope_checkpoints', 'go_goscope_circuit', 'go_goscope_locks']

const text = 'utf8mb4_bin'
/** Name, type, whether NULL is allowed, and the collation. */
const declaredColumns: Record<string, [string, string, string, string | null][]> = {
  go_goscope_cache: [
    ['key', 'varchar(512)', 'NO', text],
    ['value', 'longtext', 'NO', text],
    ['expires_at', 'datetime(3)', 'YES', null],
    ['stale_at', 'datetime(3)', 'YES', null],
  ],
  go_goscope_checkpoints: [
    ['id', 'varchar(512)', 'NO', text],
    ['task_id', 'varchar(512)', 'NO', text],
    ['sequence', 'decimal(20,0)', 'NO', null],
    ['timestamp', 'double', 'NO', null],
    ['progress', 'double', 'NO', null],
    ['data', 'longtext', 'NO', text],
    ['estimated_time_remaining', 'double', 'YES', null],
    ['fence', 'decimal(20,0)', 'YES', null],
    ['created_at', 'datetime(3)', 'NO', null],
  ],
  go_goscope_circuit: [
    ['failure_count', 'decimal(20,0)', 'NO', null],
    ['key', 'varchar(512)', 'NO', text],
    ['state', "enum('closed','open','half-open')", 'NO', text],
    ['last_failure_time', 'datetime(3)', 'YES', null],
    ['last_success_time', 'datetime(3)', 'YES', null],
    ['opened_at', 'datetime(3)', 'YES', null],
    ['attempt', 'decimal(20,0)', 'YES', null],
    ['version', 'decimal(20,0)', 'YES', null],
    ['successes', 'decimal(20,0)', 'YES', null],
    ['isolated_at', 'datetime(3)', 'YES', null],
    ['reports', 'longtext', 'YES', text],
    ['details', 'longtext', 'YES', text],
    ['updated_at', 'datetime(3)', 'NO', null],
  ],
  go_goscope_locks: [
    ['fence', 'decimal(20,0)', 'NO', null],
    ['key', 'varchar(512)', 'NO', text],
    ['owner', 'varchar(255)', 'YES', text],
    ['acquired_at', 'datetime(3)', 'YES', null],
    ['expires_at', 'datetime(3)', 'NO', null],
  ],
}
/** Table, index and column, in the index's order. */
const declaredIndexes = [
  ['go_goscope_cache', 'PRIMARY', 'key'],
  ['go_goscope_cache', 'go_goscope_cache_expires_at', 'expires_at'],
  ['go_goscope_checkpoints', 'PRIMARY', 'id'],
  ['go_goscope_checkpoints', 'go_goscope_checkpoints_task', 'task_id'],
  ['go_goscope_checkpoints', 'go_goscope_checkpoints_task', 'sequence'],
  ['go_goscope_checkpoints', 'go_goscope_checkpoints_task', 'timestamp'],
  ['go_goscope_circuit', 'PRIMARY', 'key'],
  ['go_goscope_locks', 'PRIMARY', 'key'],
]

async function listed<Row>(pool: Pool, question: string): Promise<Row[]> {
  const [rows] = await pool.query({ sql: question, rowsAsArray: true })
  return rows as unknown as Row[]
}

const enginesOf = (pool: Pool) =>
  listed<[string, string]>(
    pool,
    `select table_name, engine from information_schema.tables
      where table_schema = database() and table_name like 'go\\_goscope%' order by table_name`,
  )

const columnsOf = (pool: Pool, table: string) =>
  listed<[string, string, string, string | null]>(
    pool,
    `select column_name, convert(column_type using utf8mb4), is_nullable, collation_name
      from information_schema.columns
      where table_schema = database() and table_name = '${table}' order by ordinal_position`,
  )

const indexesOf = (pool: Pool) =>
  listed<[string, string, string]>(
    pool,
    `select table_name, index_name, column_name from information_schema.statistics
      where table_schema = database() order by table_name, index_name = 'PRIMARY' desc, index_name, seq_in_index`,
  )

/** The tables are InnoDB and have the declared columns, in any order, and the declared indexes. */
async function expectDeclaredTables(pool: Pool): Promise<void> {
  expect(await enginesOf(pool)).toEqual(tableNames.map((name) => [name, 'InnoDB']))
  for (const table of tableNames) {
    const columns = await columnsOf(pool, table)
    expect(columns.toSorted(), table).toEqual(declaredColumns[table]?.toSorted())
  }
  expect(await indexesOf(pool)).toEqual(declaredIndexes)
}

/** What connect() throws. */
async function failureOf(state: MySQLAdapter): Promise<SchemaError> {
  const error: unknown = await state.connect().then(
    () => undefined,
    (thrown) => thrown,
  )
  expect(error).toBeInstanceOf(SchemaError)
  expect((error as SchemaError).code).toBe('SCHEMA')
  expect(state.isConnected()).toBe(false)
  return error as SchemaError
}

/** The statements that an error tells to run. */
function statementsIn(error: SchemaError): string[] {
  const [, script = ''] = error.message.split('un:\n')
  return script
    .split(/;(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}

async function run(pool: Pool, statements: readonly string[]): Promise<void> {
  const connection = await pool.getConnection()
  try {
    for (const statement of statements) await connection.query(statement)
  } finally {
    // Its session may have been changed.
    connection.destroy()
  }
}

/** Everything that the legacy tables held is there and works. */
async function expectLegacyState(state: MySQLAdapter): Promise<void> {
  expect(await state.acquire('held', 1_000, 'worker-9')).toBeNull()
  expect(await state.acquire('café ', 1_000, 'worker-3')).toBeNull()
  expect(await state.extend('café ', 60_000, 'worker-3 ')).toBe(true)
  expect(await state.extend('held', 60_000, 'worker-1')).toBe(true)
  const held = await state.acquire('held', 60_000, 'worker-1')
  expect(await held?.isValid()).toBe(true)
  await held?.release()
  const next = await state.acquire('held', 60_000, 'worker-9')
  expect(next?.fence).toBeGreaterThan(held?.fence ?? Number.POSITIVE_INFINITY)
  expect(await state.acquire('expired', 60_000, 'worker-9')).not.toBeNull()

  expect(await state.getState('payments')).toEqual({
    state: 'open',
    failureCount: 7,
    lastFailureTime: Date.UTC(2024, 4, 6, 7, 8, 9),
  })
  expect(await state.getState('mail ')).toEqual({
    state: 'closed',
    failureCount: 2,
    lastFailureTime: Date.UTC(2024, 4, 6, 7, 8, 10),
    lastSuccessTime: Date.UTC(2024, 4, 6, 7, 8, 11),
  })
  expect(await state.getState('mail')).toBeNull()
  expect(await state.recordFailure('mail ', 3)).toBe(3)

  expect(await state.get('rates')).toEqual({ EUR: 1.08, list: [1, 'zwölf', null] })
  expect(await state.get('trailing ')).toBe('with a space')
  expect(await state.get('trailing')).toBeNull()
  expect(await state.get('café')).toBe('with an accent')
  expect(await state.get('cafe')).toBeNull()
  expect(await state.get('expired')).toBeNull()
  let nested: unknown = 'deep'
  for (let depth = 0; depth < 500; depth++) nested = [nested]
  await state.set('nested', nested)
  expect(await state.get('nested')).toEqual(nested)

  expect(await state.list('import')).toEqual([
    {
      id: 'c1',
      taskId: 'import',
      sequence: 1,
      timestamp: 1_700_000_000_001,
      progress: 10,
      data: { row: 100 },
      estimatedTimeRemaining: 5_000,
    },
    { id: 'c2 ', taskId: 'import', sequence: 2, timestamp: 1_700_000_000_002, progress: 20, data: { row: 200 } },
    {
      id: 'checkpoint:c1',
      taskId: 'import',
      sequence: 3,
      timestamp: 1_700_000_000_003,
      progress: 30,
      data: { row: 300 },
    },
  ])
  expect(await state.load('c2 ')).toMatchObject({ sequence: 2 })
  expect(await state.load('c2')).toBeUndefined()
  expect(await state.loadLatest('café ')).toMatchObject({ id: 'c4', data: { row: 400 } })
  expect(await state.loadLatest('café')).toBeUndefined()
  await state.save({ id: 'c1', taskId: 'import', sequence: 4, timestamp: 1.5, progress: 99.9, data: nested })
  expect(await state.loadLatest('import')).toMatchObject({ id: 'c1', progress: 99.9, data: nested })
}

// Started once for all servers: starting a process takes longer than what it has to do.
const children: Child<ConnectMessage>[] = []

afterAll(() => Promise.all(children.map((child) => child.kill())))

/** Eight processes connect to the database at the same moment. */
async function connectEightProcesses(url: string): Promise<void> {
  while (children.length < 8) children.push(new Child('contracts/connect.child.ts', null))
  await Promise.all(children.map((child) => child.until((message) => message.ready === true)))
  // Another query string tells the answers of the runs apart.
  const run = `${url}?connectTimeout=${20_000 + children.reduce((sum, child) => sum + child.messages.length, 0)}`
  for (const child of children) child.process.send(run)
  const answers = await Promise.all(children.map((child) => child.until((message) => message.url === run)))
  expect(answers).toEqual(children.map(() => ({ url: run })))
}

/** A user of this server with the given rights on the suite's database; dropped afterwards. */
async function withUser(context: ServerContext, rights: string, work: (pool: Pool) => Promise<void>): Promise<void> {
  const user = `goscope_${randomBytes(6).toString('hex')}`
  const password = randomBytes(12).toString('hex')
  await context.admin.query(`create user '${user}'@'%' identified by '${password}'`)
  const url = new URL(context.url)
  url.username = user
  url.password = password
  const pool = createPool({ uri: url.href })
  try {
    await context.admin.query(`grant ${rights} on ${context.database}.* to '${user}'@'%'`)
    await work(pool)
  } finally {
    await pool.end()
    await context.admin.query(`drop user '${user}'@'%'`)
  }
}

onEveryServer('connect', (context) => {
  /** An adapter on a pool of its own, not connected yet. */
  const adapterOf = (options?: MySQLAdapterOptions) => new MySQLAdapter(context.pool(), options)
  const verifying = () => adapterOf({ createTables: false })
  const legacyAdapter = () => adapterOf({ keyPrefix: legacyPrefix })

  beforeEach(async () => {
    for (const name of tableNames) await context.admin.query(`drop table if exists ${name}`)
    await context.admin.query(`alter database ${context.database} character set utf8mb4`)
  })

  describe('on an empty database', () => {
    it('creates the four tables as declared', async () => {
      await adapterOf().connect()
      await expectDeclaredTables(context.admin)
      for (const table of tableNames) expect(await columnsOf(context.admin, table)).toEqual(declaredColumns[table])
    })

    it.each([
      ['a promise pool', (url: string) => createPool({ uri: url })],
      ['a callback pool', (url: string) => createCallbackPool({ uri: url })],
      ['a Drizzle database', (url: string) => drizzle(createPool({ uri: url }))],
      ['a URL', (url: string) => url],
    ])('creates them through %s', async (_name, open) => {
      const state = new MySQLAdapter(open(context.url), { endPool: true })
      await state.connect()
      expect(await state.acquire('key', 1_000)).not.toBeNull()
      await state.disconnect()
      await expectDeclaredTables(context.admin)
    })

    it('creates InnoDB tables where the server would choose MyISAM', async () => {
      const pool = context.pool()
      pool.on('connection', (connection) => {
        ;(connection as unknown as { query(statement: string): void }).query('set default_storage_engine = MyISAM')
      })
      await new MySQLAdapter(pool).connect()
      await expectDeclaredTables(context.admin)
    })

    it('creates utf8mb4 tables in a latin1 database', async () => {
      await context.admin.query(`alter database ${context.database} character set latin1`)
      await adapterOf().connect()
      await expectDeclaredTables(context.admin)
    })

    it('lets any adapter create all of them', async () => {
      await new MySQLIdempotencyAdapter(context.pool()).connect()
      await new MySQLCacheAdapter(context.pool(), { createTables: false }).connect()
      await expectDeclaredTables(context.admin)
    })

    it('lets eight processes connect at once', async () => {
      await connectEightProcesses(context.url)
      await expectDeclaredTables(context.admin)
      expect(await adapterOf({ keyPrefix: 'shop:' }).keys('process *')).toHaveLength(8)
    })

    it('lets sixteen adapters of one process connect at once', async () => {
      const pool = context.pool()
      const adapters = Array.from({ length: 16 }, () => new MySQLAdapter(pool))
      await Promise.all(adapters.map((state) => state.connect()))
      expect(adapters.every((state) => state.isConnected())).toBe(true)
      await expectDeclaredTables(context.admin)
    })
  })

  describe('on tables that are as declared', () => {
    it('asks once and changes nothing', async () => {
      const pool = context.pool({ connectionLimit: 1 })
      const state = new MySQLAdapter(pool)
      await state.connect()
      // The connection that created the tables was closed; this one has its statements prepared.
      await state.connect()
      expect(await countStatements(pool, () => state.connect())).toBe(1)
    })

    it('needs no more than SELECT, INSERT, UPDATE and DELETE rights', async () => {
      await adapterOf().connect()
      await withUser(context, 'select, insert, update, delete', async (pool) => {
        for (const createTables of [true, false]) {
          const state = new MySQLAdapter(pool, { createTables })
          await state.connect()
          expect(state.isConnected()).toBe(true)
          expect(await state.acquire(`key ${createTables}`, 1_000)).not.toBeNull()
          await state.set('value', 1)
          expect(await state.get('value')).toBe(1)
        }
      })
    })

    it('leaves columns and indexes of the user alone', async () => {
      await adapterOf().connect()
      await context.admin.query(
        `alter table go_goscope_cache add column note varchar(20) character set latin1 null, add column hits int not null default 0,
          add column label varchar(20) as (left(value, 20)) stored, add index my_index (note), add index idx_mine (stale_at)`,
      )
      const columns = await columnsOf(context.admin, 'go_goscope_cache')
      const indexes = await indexesOf(context.admin)
      await verifying().connect()
      const state = adapterOf()
      await state.connect()
      await state.set('key', 1)
      expect(await state.get('key')).toBe(1)
      // Mending something else of the table leaves them alone, too.
      await context.admin.query('alter table go_goscope_cache modify column stale_at datetime null')
      await state.connect()
      expect(await columnsOf(context.admin, 'go_goscope_cache')).toEqual(columns)
      expect(await indexesOf(context.admin)).toEqual(indexes)
    })
  })

  describe('on tables that are not as declared', () => {
    const defects: [string, string, string][] = [
      ['go_goscope_locks does not exist', 'a missing table', 'drop table go_goscope_locks'],
      ['go_goscope_locks.fence', 'a missing column', 'alter table go_goscope_locks drop column fence'],
      [
        'go_goscope_cache.value',
        'another type',
        'alter table go_goscope_cache modify column value mediumtext collate utf8mb4_bin not null',
      ],
      [
        'go_goscope_circuit.state',
        'another set of values',
        "alter table go_goscope_circuit modify column state enum('closed','open') not null",
      ],
      [
        'go_goscope_checkpoints.created_at',
        'whole seconds',
        'alter table go_goscope_checkpoints modify column created_at datetime not null',
      ],
      [
        'go_goscope_locks.owner',
        'another collation',
        'alter table go_goscope_locks modify column owner varchar(255) character set utf8mb4 collate utf8mb4_general_ci null',
      ],
      [
        'go_goscope_locks.owner',
        'a column that must not be NULL',
        'alter table go_goscope_locks modify column owner varchar(255) character set utf8mb4 collate utf8mb4_bin not null',
      ],
      [
        'go_goscope_circuit.updated_at',
        'an ON UPDATE clause',
        'alter table go_goscope_circuit modify column updated_at datetime(3) not null default current_timestamp(3) on update current_timestamp(3)',
      ],
      [
        'go_goscope_cache_expires_at',
        'a missing index',
        'alter table go_goscope_cache drop index go_goscope_cache_expires_at',
      ],
      ['idx_expires', 'an index of old', 'alter table go_goscope_locks add index idx_expires (expires_at)'],
      [
        'engine InnoDB',
        'another engine',
        'alter table go_goscope_locks modify `key` varchar(200) character set utf8mb4 collate utf8mb4_bin not null, engine=MyISAM',
      ],
      [
        'go_goscope_cache.tenant',
        'an undeclared column without a default',
        'alter table go_goscope_cache add column tenant varchar(20) not null',
      ],
    ]

    it.each(defects)('says %s when there is %s, and what to run, without running it', async (named, _defect, ddl) => {
      await adapterOf().connect()
      await context.admin.query(ddl)
      const error = await failureOf(verifying())
      expect(error.message).toContain(named)
      expect(error.message).toMatch(/go_goscope_\w+/)
      expect(error.retryable).toBe(false)
      // Had it been mended, there would be no second error.
      const again = await failureOf(verifying())
      await run(context.admin, statementsIn(again))
      await verifying().connect()
    })

    it.each(defects.slice(0, -1))('mends %s when there is %s', async (_named, _defect, ddl) => {
      await adapterOf().connect()
      await context.admin.query(ddl)
      const state = adapterOf()
      await state.connect()
      await expectDeclaredTables(context.admin)
      expect(await state.acquire('key', 1_000)).not.toBeNull()
    })

    it('refuses an undeclared column without a default, and leaves it alone', async () => {
      await adapterOf().connect()
      await context.admin.query('alter table go_goscope_cache add column tenant varchar(20) not null')
      await failureOf(adapterOf())
      expect(await columnsOf(context.admin, 'go_goscope_cache')).toContainEqual([
        'tenant',
        'varchar(20)',
        'NO',
        expect.any(String),
      ])
    })

    it('lists all statements for an empty database', async () => {
      const error = await failureOf(verifying())
      for (const table of tableNames) expect(error.message).toContain(`${table} does not exist`)
      expect(await enginesOf(context.admin)).toEqual([])
      await run(context.admin, statementsIn(error))
      await expectDeclaredTables(context.admin)
      await verifying().connect()
    })

    it('tells a user without CREATE rights what to run', async () => {
      await withUser(context, 'select, insert, update, delete', async (pool) => {
        const state = new MySQLAdapter(pool)
        const error = await failureOf(state)
        await run(context.admin, statementsIn(error))
        await state.connect()
        expect(state.isConnected()).toBe(true)
      })
    })

    it('says so when no database is selected', async () => {
      const pool = createPool({ uri: context.server.url })
      try {
        for (const createTables of [true, false]) {
          const error = await failureOf(new MySQLAdapter(pool, { createTables }))
          expect(error.message).toMatch(/database/)
        }
      } finally {
        await pool.end()
      }
    })
  })

  describe('on the tables of go-go-scope', () => {
    it.each(['utf8mb4', 'latin1'])('upgrades them with all their rows in a %s database', async (charset) => {
      await context.admin.query(`alter database ${context.database} character set ${charset}`)
      await createLegacyTables(context.admin)
      const state = legacyAdapter()
      await state.connect()
      await expectDeclaredTables(context.admin)
      await expectLegacyState(state)
      await verifying().connect()
      expect(
        await listed(context.admin, 'select created_at from go_goscope_checkpoints where sequence = 2'),
      ).toHaveLength(1)
    })

    it.each(['utf8mb4', 'latin1'])(
      'completes an upgrade that was interrupted anywhere in a %s database',
      async (charset) => {
        await context.admin.query(`alter database ${context.database} character set ${charset}`)
        for (let done = 1, total = 2; done < total; done++) {
          for (const name of tableNames) await context.admin.query(`drop table if exists ${name}`)
          await createLegacyTables(context.admin)
          const statements = statementsIn(await failureOf(adapterOf({ createTables: false, keyPrefix: legacyPrefix })))
          total = statements.length
          await run(context.admin, statements.slice(0, done))
          const state = legacyAdapter()
          await state.connect()
          await expectDeclaredTables(context.admin)
          await expectLegacyState(state)
        }
      },
    )

    it('converts tables of MyISAM, which cannot index keys of the declared length', async () => {
      await context.admin.query(`alter database ${context.database} character set latin1`)
      await createLegacyTables(context.admin)
      for (const name of tableNames) await context.admin.query(`alter table ${name} engine=MyISAM`)
      const error = await failureOf(verifying())
      for (const name of tableNames) expect(error.message).toContain(`${name}: expected the engine InnoDB, got MyISAM`)
      const state = legacyAdapter()
      await state.connect()
      await expectDeclaredTables(context.admin)
      await expectLegacyState(state)
    })

    /** The moments at which the checkpoints were created, in seconds since 1970. */
    const moments = async () => {
      const found = await listed<[number]>(
        context.admin,
        "select timestampdiff(second, '1970-01-01', created_at) from go_goscope_checkpoints order by timestamp",
      )
      return found.map(([moment]) => Number(moment))
    }
    const createdAt = [9, 10, 11, 12].map((second) => Date.UTC(2024, 4, 6, 7, 8, second) / 1_000)

    it('names statements that do the upgrade, in whatever session they are run', async () => {
      await createLegacyTables(context.admin)
      const error = await failureOf(adapterOf({ createTables: false, keyPrefix: legacyPrefix }))
      await run(context.admin, ["set time_zone = '+05:00', sql_mode = ''", ...statementsIn(error)])
      await expectDeclaredTables(context.admin)
      expect(await moments()).toEqual(createdAt)
      await expectLegacyState(legacyAdapter())
    })

    it('keeps the moments of creation whatever the zone of the session', async () => {
      await createLegacyTables(context.admin)
      const pool = context.pool()
      pool.on('connection', (connection) => {
        ;(connection as unknown as { query(statement: string): void }).query("set time_zone = '+05:00'")
      })
      await new MySQLAdapter(pool, { keyPrefix: legacyPrefix }).connect()
      expect(await moments()).toEqual(createdAt)
    })

    it('tells keys that differ in trailing spaces apart where the old table did', async () => {
      await createLegacyTables(context.admin)
      // MariaDB's default collations take them for the same key, so there only the one is in the table.
      const isNoPad = context.server.family === 'mysql'
      if (isNoPad) {
        await context.admin.query(`insert into go_goscope_cache values ('shop:cache:trailing', '"without"', null)`)
      }
      const state = legacyAdapter()
      await state.connect()
      expect(await state.get('trailing ')).toBe('with a space')
      expect(await state.get('trailing')).toBe(isNoPad ? 'without' : null)
    })

    it('lets eight processes connect at once', async () => {
      await createLegacyTables(context.admin)
      await connectEightProcesses(context.url)
      await expectDeclaredTables(context.admin)
      const state = legacyAdapter()
      expect(await state.keys('process *')).toHaveLength(8)
      await expectLegacyState(state)
    })
  })

  describe('isConnected', () => {
    it('is true between connect() and disconnect() only', async () => {
      const state = adapterOf()
      expect(state.isConnected()).toBe(false)
      await state.connect()
      expect(state.isConnected()).toBe(true)
      await state.disconnect()
      expect(state.isConnected()).toBe(false)
    })

    it('is false after connect() has failed, and true once it has succeeded', async () => {
      const state = verifying()
      await expect(state.connect()).rejects.toBeInstanceOf(SchemaError)
      expect(state.isConnected()).toBe(false)
      await adapterOf().connect()
      await state.connect()
      expect(state.isConnected()).toBe(true)
      await context.admin.query('drop table go_goscope_cache')
      await expect(state.connect()).rejects.toBeInstanceOf(SchemaError)
      expect(state.isConnected()).toBe(false)
    })

    it('is false when disconnect() overtakes connect()', async () => {
      const state = adapterOf()
      const connecting = state.connect()
      await state.disconnect()
      await connecting
      expect(state.isConnected()).toBe(false)
    })
  })

  describe('before connect()', () => {
    it('operations work where the tables exist', async () => {
      await adapterOf().connect()
      const state = adapterOf()
      expect(await state.acquire('key', 1_000)).not.toBeNull()
      await state.set('key', 1)
      expect(await state.get('key')).toBe(1)
      expect(state.isConnected()).toBe(false)
    })

    it('operations say so where they do not', async () => {
      await expect(adapterOf().get('key')).rejects.toMatchObject({
        name: 'SchemaError',
        code: 'SCHEMA',
        operation: 'get',
      })
    })
  })

  describe('disconnect', () => {
    it('may be called twice, also at once, and before connect()', async () => {
      const state = adapterOf()
      await state.connect()
      await Promise.all([state.disconnect(), state.disconnect()])
      await state.disconnect()
      await adapterOf().disconnect()
    })

    it('refuses later operations', async () => {
      const pool = context.pool()
      const state = new MySQLAdapter(pool)
      const cache = new MySQLCacheAdapter(pool)
      const idempotency = new MySQLIdempotencyAdapter(pool)
      for (const adapter of [state, cache, idempotency]) await adapter.connect()
      const lock = await state.acquire('key', 10_000)
      for (const adapter of [state, cache, idempotency]) await adapter.disconnect()
      const checkpoint = { id: 'c', taskId: 't', sequence: 1, timestamp: 1, progress: 1, data: null }
      const operations: Record<string, () => Promise<unknown> | undefined> = {
        connect: () => state.connect(),
        acquire: () => state.acquire('key', 1),
        extend: () => state.extend('key', 1, 'owner'),
        forceRelease: () => state.forceRelease('key'),
        'lock.release': () => lock?.release(),
        'lock.extend': () => lock?.extend(1),
        'lock.isValid': () => lock?.isValid(),
        getState: () => state.getState('key'),
        setState: () => state.setState('key', { state: 'open', failureCount: 1 }),
        recordFailure: () => state.recordFailure('key', 1),
        recordSuccess: () => state.recordSuccess('key'),
        get: () => state.get('key'),
        set: () => state.set('key', 1),
        delete: () => state.delete('key'),
        has: () => state.has('key'),
        clear: () => state.clear(),
        keys: () => state.keys(),
        save: () => state.save(checkpoint),
        load: () => state.load('c'),
        loadLatest: () => state.loadLatest('t'),
        list: () => state.list('t'),
        cleanup: () => state.cleanup('t', 1),
        deleteAll: () => state.deleteAll('t'),
        'cache.get': () => cache.get('key'),
        'idempotency.get': () => idempotency.get('key'),
        'idempotency.set': () => idempotency.set('key', 1),
        'idempotency.delete': () => idempotency.delete('key'),
      }
      for (const [name, operation] of Object.entries(operations)) {
        const error: unknown = await Promise.resolve(operation()).catch((thrown) => thrown)
        expect(error, name).toBeInstanceOf(NotConnectedError)
        expect(error, name).toMatchObject({
          code: 'NOT_CONNECTED',
          retryable: false,
          operation: name.split('.').at(-1),
        })
      }
    })

    it("waits for running operations, and leaves the user's pool usable", async () => {
      await adapterOf().connect()
      const pool = context.pool({ connectionLimit: 1 })
      const state = new MySQLAdapter(pool)
      const connection = await pool.getConnection()
      const events: string[] = []
      const setting = state.set('key', 'stored').then(() => events.push('set'))
      const ending = state.disconnect().then(() => events.push('disconnected'))
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(events).toEqual([])
      connection.release()
      await Promise.all([setting, ending])
      expect(events).toEqual(['set', 'disconnected'])
      expect(await new MySQLAdapter(pool).get('key')).toBe('stored')
    })

    it('ends the pool with endPool: true', async () => {
      const pool = context.pool()
      const state = new MySQLAdapter(pool, { endPool: true })
      await state.connect()
      await state.disconnect()
      await expect(pool.query('select 1')).rejects.toThrow('Pool is closed')
    })

    it('ends the pool it opened from a URL', async () => {
      const open = async () => {
        const found = await listed<[number]>(
          context.admin,
          `select count(*) from information_schema.processlist where db = '${context.database}'`,
        )
        return Number(found[0]?.[0])
      }
      const before = await open()
      const state = new MySQLAdapter(context.url)
      await state.connect()
      await Promise.all(Array.from({ length: 20 }, (_, index) => state.set(`key ${index}`, index)))
      expect(await open()).toBeGreaterThan(before)
      await state.disconnect()
      await expect.poll(open, { timeout: 5_000 }).toBeLessThanOrEqual(before)
    })
  })

  describe('the constructor', () => {
    it('does no I/O and keeps no process alive', async () => {
      const child = new Child<{ connected: boolean[] }>(
        'contracts/construct.child.ts',
        'mysql://root@127.0.0.1:1/nowhere',
      )
      expect(await child.end()).toEqual([{ connected: [false, false, false] }])
    })

    it('refuses what is not a pool, a Drizzle database or a URL', async () => {
      const connection = createConnection({ uri: context.url })
      await connection.promise().connect()
      const secret = 'mysql//root:hunter2@localhost/database'
      try {
        const refused: unknown[] = [
          connection,
          connection.promise(),
          drizzle(connection as never),
          'database',
          '',
          secret,
          'postgres://localhost/database',
          {},
          null,
          undefined,
          42,
        ]
        for (const database of refused) {
          let error: unknown
          try {
            new MySQLAdapter(database as never)
          } catch (thrown) {
            error = thrown
          }
          expect(error).toBeInstanceOf(InvalidArgumentError)
          expect((error as Error).message).toMatch(/^database: expected /)
          expect(JSON.stringify({ ...(error as object), message: String(error) })).not.toContain('hunter2')
        }
      } finally {
        await connection.promise().end()
      }
    })
  })
})

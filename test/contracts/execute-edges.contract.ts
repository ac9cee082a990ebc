import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { InvalidArgumentError, MySQLIdempotencyAdapter } from 'goscope-mysql'
import { beforeAll, expect, it, vi } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { numbers } from '../support/numbers.js'

onEveryServer('operations executed once, at the edges', (context) => {
  const adapter = () => new MySQLIdempotencyAdapter(context.pool())
  const effects = async (name: string) => {
    const [rows] = await context.admin.query('select count(*) as effects from effect where name = ?', [name])
    return (rows as { effects: number }[])[0]?.effects
  }
  const write = (name: string) => sql`insert into effect values (${name})`

  beforeAll(async () => {
    await context.adapter()
    await context.admin.query('create table effect (name varchar(40) not null) engine=InnoDB')
    await context.admin.query('create table account (id int primary key, balance int not null) engine=InnoDB')
    await context.admin.query('insert into account values (1, 0), (2, 0)')
    await context.admin.query('create table weight (n int primary key) engine=InnoDB')
  })

  it('are not taken for done when the server rolled their transaction back and they did not notice', async () => {
    const idempotency = adapter()
    const opponent = await context.admin.getConnection()
    const credit = (id: number) => sql`update account set balance = 2 where id = ${id}`
    const careless = idempotency.execute(
      'careless',
      async (tx) => {
        await tx.execute(write('careless'))
        await tx.execute(credit(1))
        // The server sacrifices the transaction that wrote less.
        await opponent.beginTransaction()
        await opponent.query(`insert into weight ${numbers(1_000)}`)
        await opponent.query('update account set balance = 1 where id = 2')
        const opposing = opponent.query('update account set balance = 1 where id = 1')
        await sleep(100)
        const swallow = vi.fn()
        await Promise.all([tx.execute(credit(2)).catch(swallow), opposing])
        expect(swallow).toHaveBeenCalledOnce()
        return 'paid'
      },
      { transaction: true },
    )
    const thrown = await careless.catch((error: unknown) => error)
    await opponent.rollback()
    opponent.release()
    expect(thrown).toBeInstanceOf(InvalidArgumentError)
    expect(await effects('careless')).toBe(0)
    expect(await idempotency.get('careless')).toBeNull()
    const retried = idempotency.execute('careless', (tx) => tx.execute(write('careless')).then(() => 'paid'), {
      transaction: true,
    })
    expect(await retried).toBe('paid')
    expect(await effects('careless')).toBe(1)
  })

  it('are not taken for done by what another transaction has not committed, even where sessions read that', async () => {
    const pool = context.pool()
    pool.pool.on('connection', (connection) => {
      connection.query('set session transaction isolation level read uncommitted', () => {})
    })
    const idempotency = new MySQLIdempotencyAdapter(pool)
    await idempotency.execute('committed', () => 'paid')
    expect(await idempotency.execute('committed', () => 'paid again')).toBe('paid')
    const other = await context.admin.getConnection()
    await other.beginTransaction()
    await other.query(
      "insert into go_goscope_cache (`key`, value) select 'idempotency:uncommitted', value from go_goscope_cache where `key` = 'idempotency:committed'",
    )
    expect(await idempotency.get('uncommitted')).toBeNull()
    const executing = idempotency.execute(
      'uncommitted',
      async (tx) => tx.execute(write('uncommitted')).then(() => 'own'),
      {
        transaction: true,
      },
    )
    await sleep(200)
    await other.rollback()
    other.release()
    expect(await executing).toBe('own')
    expect(await effects('uncommitted')).toBe(1)
  })

  it('are remembered when the adapter is disconnected while they run', async () => {
    const leaving = adapter()
    let runs = 0
    const operate = async () => {
      runs++
      await sleep(700)
      return 'paid'
    }
    const running = leaving.execute('leaving', operate, { lease: 300 })
    await expect.poll(() => runs).toBe(1)
    await leaving.disconnect()
    expect(await running).toBe('paid')
    expect(await adapter().execute('leaving', operate)).toBe('paid')
    expect(runs).toBe(1)
  })
})

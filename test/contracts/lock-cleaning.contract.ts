import { MySQLAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

onEveryServer('the clean-up of locks', (context) => {
  const keysLike = async (pattern: string) => {
    const [rows] = await context.admin.query<RowDataPacket[]>(
      'select `key` from go_goscope_locks where `key` like ? order by `key`',
      [pattern],
    )
    return rows.map(({ key }) => key)
  }
  const insert = (key: string, owner: string | null, age: string) =>
    context.admin.query(
      `insert into go_goscope_locks (fence, \`key\`, owner, expires_at) values (7, ?, ?, utc_timestamp(3) - interval ${age})`,
      [key, owner],
    )

  it('deletes what nobody has held for a day, as locks are acquired, and nothing else', async () => {
    await context.adapter()
    await insert('lock:old released', null, '25 hour')
    await insert('lock:old expired', 'crashed', '25 hour')
    await insert('\tlock:old and odd', null, '25 hour')
    await insert('lock:young released', null, '23 hour')
    await insert('lock:young expired', 'crashed', '1 hour')
    await insert('lock:held', 'holder', '-1 hour')
    const state = new MySQLAdapter(context.pool())
    expect(await state.acquire('occasion', 60_000)).not.toBeNull()
    await expect
      .poll(() => keysLike('%'), { timeout: 10_000 })
      .toEqual(['lock:held', 'lock:occasion', 'lock:young expired', 'lock:young released'])
    const lock = await state.acquire('old released', 60_000)
    expect(lock?.fence).toBeGreaterThan(7)
  })

  it('passes over rows that a transaction holds, without waiting', async () => {
    await context.adapter()
    await insert('lock:in use', null, '48 hour')
    const connection = await context.pool().getConnection()
    await connection.beginTransaction()
    await connection.query("select * from go_goscope_locks where `key` = 'lock:in use' for update")
    const begin = performance.now()
    const state = new MySQLAdapter(context.pool())
    expect(await state.acquire('another occasion', 60_000)).not.toBeNull()
    await state.disconnect()
    expect(performance.now() - begin).toBeLessThan(10_000)
    expect(await keysLike('lock:in use')).toEqual(['lock:in use'])
    await connection.rollback()
    connection.release()
  })

  it('does not slow acquire down, however many rows have expired', async () => {
    const state = await context.adapter({ keyPrefix: 'few:' })
    const median = async (adapter: MySQLAdapter, round: number) => {
      const times: number[] = []
      for (let index = 0; index < 60; index++) {
        const begin = performance.now()
        const lock = await adapter.acquire(`key ${round} ${index}`, 60_000)
        times.push(performance.now() - begin)
        await lock?.release()
      }
      return times.sort((one, other) => one - other)[30] ?? Number.NaN
    }
    const before = await median(state, 1)
    await context.admin.query('create table digits (digit int not null)')
    await context.admin.query('insert into digits values (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)')
    await context.admin.query(
      `insert into go_goscope_locks (fence, \`key\`, owner, expires_at)
      select 7, concat('many:lock:', a.digit, b.digit, c.digit, d.digit, e.digit, f.digit), null, utc_timestamp(3) - interval 2 hour
      from digits a, digits b, digits c, digits d, digits e, digits f`,
    )
    const after = await median(state, 2)
    // An unbounded deletion, or a scan, would take a hundred times as long; the machine's noise does not.
    expect(after).toBeLessThan(before * 10 + 20)
  })
})

import { expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { runExample } from '../support/run-example.js'

onEveryServer('the circuit-breaker example', (context) => {
  it('spares the failing service, probes it one call at a time, and finds it recovered', async () => {
    const { code, output } = await runExample('circuit-breaker/demo.ts', context.url)
    expect(output).toContain('closed → open')
    expect(output).toContain('half-open → closed')
    expect(output).toContain('The circuit is closed.')
    expect(code).toBe(0)
    const [rows] = await context.admin.query(
      "select state from go_goscope_circuit where `key` = 'example:circuit:service'",
    )
    expect(rows).toEqual([{ state: 'closed' }])
  }, 60_000)
})

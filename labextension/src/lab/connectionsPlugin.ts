/** The plugin that knows the subscribers. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { Connections } from './connections';
import { ICaterva2 } from './tokens';

const plugin: JupyterFrontEndPlugin<ICaterva2> = {
  id: '@caterva2/jupyterlab:connections',
  description: 'Connects to the Caterva2 subscribers of the server extension.',
  autoStart: true,
  provides: ICaterva2,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('caterva2');
    const connections = new Connections(app.serviceManager.serverSettings, trans);
    void connections.refresh();
    return connections;
  }
};

export default plugin;

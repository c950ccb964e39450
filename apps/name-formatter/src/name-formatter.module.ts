import { Module } from '@nestjs/common';
import { ContactNamesController } from './contact-names.controller.js';

@Module({ controllers: [ContactNamesController] })
export class NameFormatterModule {}
